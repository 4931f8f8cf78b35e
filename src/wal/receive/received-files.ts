import { toWaldenError, type WaldenError } from '../../errors.ts';
import { type Lsn, lsn } from '../../postgres/lsn.ts';
import {
  parseWalName,
  type SegmentBytes,
  segmentNumberOfName,
  segmentStart,
  type WalFileName,
} from '../../postgres/wal-name.ts';
import { SharedRooms } from '../../platform/shared-rooms.ts';
import { FRAME_BYTES } from '../archive-target.ts';
import { ReceivedFile, type ReceivedFileWay } from './received-file.ts';

/** No more segments are in memory when so many files are under way; two workers are busy with them, and the disk. */
const MOST_FROM_MEMORY = 4;
/** When they do not become fewer for so long, the spool takes the next one. */
const LONGEST_WAIT_MS = 2_000;

export interface ReceivedFilesOptions extends Pick<ReceivedFileWay, 'spool' | 'archive' | 'clock' | 'failed'> {
  readonly segmentBytes: SegmentBytes;
  /** One has come into the spool or the repositories. */
  readonly moved: () => void;
  /** One is neither in the repositories nor in the spool, and must be received once more. */
  readonly lost: (file: WalFileName, error: WaldenError) => void;
}

/**
 * What was received whole and is on its way into the repositories. Each file is tried until it is there: one that is refused
 * stays in the spool, and is told each time, but keeps no other from its way.
 */
export class ReceivedFiles {
  readonly #options: ReceivedFilesOptions;
  readonly #waiting = new Map<WalFileName, ReceivedFile>();
  readonly #lost = new Set<WalFileName>();
  readonly #stop = new AbortController();
  readonly #rooms = new SharedRooms(MOST_FROM_MEMORY);
  /** Whether the last one that wanted to go from memory waited in vain. */
  #isSlow = false;
  /** Ends the pauses of those that failed. */
  #again = new AbortController();

  constructor(options: ReceivedFilesOptions) {
    this.#options = options;
  }

  /** How many are not everywhere yet. */
  get count(): number {
    return this.#waiting.size;
  }

  /** Those that the repositories will not take, however often they are tried. */
  get refused(): readonly WalFileName[] {
    return [...this.#waiting.values()].filter(({ isRefused }) => isRefused).map(({ name }) => name);
  }

  /** Where the first segment begins that is not everywhere yet; undefined when all are. */
  get firstStart(): Lsn | undefined {
    return this.#firstStart(() => true);
  }

  /** Where the first segment begins that is not even in the spool; undefined when all are. */
  get firstUnsafeStart(): Lsn | undefined {
    return this.#firstStart(({ isInSpool }) => !isInSpool);
  }

  has(file: WalFileName): boolean {
    return this.#waiting.has(file);
  }

  /** A file that stands in the spool. */
  add(file: WalFileName): void {
    this.#begin(file, undefined);
  }

  /** A whole segment in memory that `room` gave. Nobody changes it any more. */
  addFromMemory(segment: WalFileName, content: Buffer): void {
    this.#begin(segment, content);
  }

  /**
   * Memory for a segment, as soon as not many files are under way. undefined where it should go through the spool: the
   * repositories are slow, or it would take too much memory.
   */
  async room(): Promise<SharedArrayBuffer | undefined> {
    const { segmentBytes, clock } = this.#options;
    if (segmentBytes > FRAME_BYTES) return undefined;
    if (this.count >= MOST_FROM_MEMORY && !this.#isSlow) {
      const waited = new AbortController();
      const late = clock.sleep(LONGEST_WAIT_MS, waited.signal).catch(() => undefined);
      await Promise.race([late, ...[...this.#waiting.values()].map(({ ended }) => ended)]);
      waited.abort();
    }
    this.#isSlow = this.count >= MOST_FROM_MEMORY;
    return this.#isSlow ? undefined : this.#rooms.take(segmentBytes);
  }

  /** Resolves when nothing is in memory alone any more, but what was lost. */
  async settled(): Promise<void> {
    await Promise.all([...this.#waiting.values()].map(({ settled }) => settled));
  }

  /** What was lost is received once more. Until then nothing behind it is safe. */
  forgetLost(): void {
    for (const file of this.#lost) this.#waiting.delete(file);
    this.#lost.clear();
  }

  /** Ends what waits to be tried again, and waits for what is under way; the files stay where they are. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#waiting.values()].map(({ ended }) => ended));
  }

  /** After `stop`, too: nobody takes it any further then, but nothing behind it may count as safe. */
  #begin(name: WalFileName, content: Buffer | undefined): void {
    if (this.#waiting.has(name)) return;
    const { spool, archive, clock, failed, moved } = this.#options;
    const way = {
      ...{ spool, archive, clock, failed, safe: moved, stop: this.#stop.signal },
      again: () => this.#again.signal,
    };
    const file = new ReceivedFile(name, way, content);
    this.#waiting.set(name, file);
    void this.#follow(file, content);
  }

  async #follow(file: ReceivedFile, content: Buffer | undefined): Promise<void> {
    const { name } = file;
    const outcome = await file.ended;
    if (outcome === 'lost') {
      this.#lost.add(name);
      this.#options.lost(name, toWaldenError(file.failure));
    }
    if (outcome !== 'stored') return;
    this.#waiting.delete(name);
    if (content?.buffer instanceof SharedArrayBuffer) this.#rooms.give(content.buffer);
    // What kept others from the repositories may be over too.
    this.#again.abort();
    this.#again = new AbortController();
    this.#options.moved();
  }

  #firstStart(isWanted: (file: ReceivedFile) => boolean): Lsn | undefined {
    const { segmentBytes } = this.#options;
    let first: bigint | undefined;
    for (const file of this.#waiting.values()) {
      const { segment } = parseWalName(file.name);
      if (segment === undefined || !isWanted(file)) continue;
      const start = segmentStart(segmentNumberOfName(segment, segmentBytes), segmentBytes);
      if (first === undefined || start < first) first = start;
    }
    return first === undefined ? undefined : lsn(first);
  }
}
