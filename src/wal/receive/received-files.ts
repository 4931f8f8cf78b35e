import { isWaldenError, toWaldenError, type WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { type Lsn, lsn } from '../../postgres/lsn.ts';
import {
  parseWalName,
  type SegmentBytes,
  segmentNumberOfName,
  segmentStart,
  type WalFileName,
} from '../../postgres/wal-name.ts';
import type { ReceiveSpool } from './receive-spool.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** What will be so the next time too. */
const REFUSED = ['ARCHIVE_DUPLICATE', 'FORMAT_INVALID', 'SERVER_MISMATCH'] as const;

export interface ReceivedFilesOptions {
  readonly spool: ReceiveSpool;
  readonly segmentBytes: SegmentBytes;
  /** Makes one file durable in every repository that the cluster requires; how many run at once is its business. */
  readonly archive: (file: WalFileName, path: string) => Promise<void>;
  readonly clock: Clock;
  readonly archived: () => void;
  readonly failed: (file: WalFileName, error: WaldenError) => void;
}

/**
 * What was received whole and is on its way into the repositories. Each file is tried until it is there, and only then leaves
 * the spool: one that is refused stays, and is told each time, but keeps no other from its way.
 */
export class ReceivedFiles {
  readonly #options: ReceivedFilesOptions;
  readonly #waiting = new Map<WalFileName, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #failures = new Map<WalFileName, WaldenError>();
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
    return [...this.#failures].filter(([, error]) => isWaldenError(error, ...REFUSED)).map(([file]) => file);
  }

  /** Where the first segment begins that is not everywhere yet; undefined when all are. */
  get firstStart(): Lsn | undefined {
    const { segmentBytes } = this.#options;
    let first: bigint | undefined;
    for (const name of this.#waiting.keys()) {
      const { segment } = parseWalName(name);
      if (segment === undefined) continue;
      const start = segmentStart(segmentNumberOfName(segment, segmentBytes), segmentBytes);
      if (first === undefined || start < first) first = start;
    }
    return first === undefined ? undefined : lsn(first);
  }

  /** A file that stands in the spool. */
  add(file: WalFileName): void {
    if (this.#stop.signal.aborted || this.#waiting.has(file)) return;
    this.#waiting.set(file, this.#archive(file));
  }

  /** Ends what waits to be tried again, and waits for what is under way; the files stay where they are. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#waiting.values());
  }

  async #archive(file: WalFileName): Promise<void> {
    const { spool, archive, archived, failed, clock } = this.#options;
    for (let failures = 1; !this.#isStopped(); failures += 1) {
      try {
        await archive(file, spool.finishedPath(file));
        await spool.remove(file);
        this.#failures.delete(file);
        this.#waiting.delete(file);
        // What kept others from the repositories may be over too.
        this.#again.abort();
        this.#again = new AbortController();
        archived();
        return;
      } catch (error) {
        // Whoever stops the service is no failure.
        if (this.#isStopped()) return;
        const failure = toWaldenError(error);
        this.#failures.set(file, failure);
        failed(file, failure);
        const { signal } = this.#stop;
        const ended = isWaldenError(failure, ...REFUSED) ? signal : AbortSignal.any([signal, this.#again.signal]);
        await clock.sleep(waitAfter(failures), ended).catch(() => undefined);
      }
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }
}

function waitAfter(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}
