import { type FileHandle, open } from 'node:fs/promises';
import { localIoError, toWaldenError, type WaldenError } from '../../errors.ts';
import { type Lsn, lsn, type TimelineId } from '../../postgres/lsn.ts';
import {
  type SegmentBytes,
  segmentName,
  segmentNumber,
  segmentNumberOfName,
  type WalFileName,
} from '../../postgres/wal-name.ts';
import { CommitGroups } from './commit-groups.ts';
import { OPEN_PARTIAL, PARTIAL_MODE, type ReceiveSpool } from './receive-spool.ts';

/** No more is taken while so much waits to be written: what waits long grows old, and costs V8's collector more than the writing. */
const WAITING_BYTES = 2 * 1024 * 1024;
/** `writev` takes no more pieces than this and one more (IOV_MAX). */
const MAX_PIECES = 1023;
/** Where commits wait, little comes at a time; who catches up brings more. */
const SMALL_BATCH_BYTES = 256 * 1024;
/** A file that grows costs each fsync its size as well: as long again, or three times as long where the file system has a journal. */
const ZEROS = Buffer.alloc(1024 * 1024);

export interface SegmentWriterPlace {
  readonly spool: ReceiveSpool;
  readonly timeline: TimelineId;
  readonly segmentBytes: SegmentBytes;
  /** Of a segment. */
  readonly start: Lsn;
}

export interface SegmentWriterEvents {
  /** Everything before is safe on this host. Comes after `finished` where a segment ends. */
  readonly flushed: (position: Lsn) => void;
  readonly finished: (segment: WalFileName) => void;
  /** The spool held other bytes than the server sends now; a copy of them is at this path. */
  readonly differed: (segment: WalFileName, keptAt: string) => void;
  /** Nothing more is written. */
  readonly failed: (error: WaldenError) => void;
}

interface OpenSegment {
  readonly name: WalFileName;
  readonly handle: FileHandle;
  /** How much of an earlier session is there; 0 once it is known to differ. Zeros at its end may be the end of a record. */
  oldBytes: number;
  /** Up to its last byte that is not zero: what follows may have been written ahead of what came. */
  oldNonZeroBytes: number;
  /** Of the file. What is behind all bytes that came is zeros. */
  size: number;
}

/**
 * Writes streamed WAL into the segments of the spool: while one piece is written to the disk the next ones gather, and then all
 * of them are written at once, perhaps with those that are about to come (CommitGroups). The file is open with O_DSYNC: a write that succeeds is on the disk.
 *
 * A session begins with the segment it was cut off in, from that segment's start, and everything is written once more: what
 * an earlier one left is neither believed nor cut off. Bytes that were never synced are overwritten, and so are those whose
 * fsync failed, which the kernel takes for clean; what was acknowledged stays readable until the same bytes replace it.
 */
export class SegmentWriter {
  readonly #place: SegmentWriterPlace;
  readonly #events: SegmentWriterEvents;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #written: Lsn;
  #flushed: Lsn;
  #segment: OpenSegment | undefined;
  #working: Promise<void> | undefined;
  #batch: Promise<void> | undefined;
  readonly #groups = new CommitGroups();
  /** Tells who waits for more that more has come. */
  #came: (() => void) | undefined;
  #failure: WaldenError | undefined;

  constructor(place: SegmentWriterPlace, events: SegmentWriterEvents) {
    this.#place = place;
    this.#events = events;
    this.#written = place.start;
    this.#flushed = place.start;
  }

  /** Everything before was given to the operating system. */
  get written(): Lsn {
    return this.#written;
  }

  /** Everything before is safe on this host. */
  get flushed(): Lsn {
    return this.#flushed;
  }

  /**
   * How much of this segment may be used: what is safe, and what an earlier session left as long as the server sends the
   * same, with zeros perhaps behind it. undefined when it is not the one that is being written.
   */
  usableBytes(segment: WalFileName): number | undefined {
    const synced = this.syncedBytes(segment);
    return synced === undefined ? undefined : Math.max(synced, this.#segment?.oldBytes ?? 0);
  }

  /** How much of this segment this session has made safe; undefined as for `usableBytes`. */
  syncedBytes(segment: WalFileName): number | undefined {
    if (this.#segment?.name !== segment) return undefined;
    const { segmentBytes } = this.#place;
    const isSynced = segmentNumber(this.#flushed, segmentBytes) === segmentNumberOfName(segment, segmentBytes);
    return isSynced ? Number(this.#flushed % BigInt(segmentBytes)) : 0;
  }

  /** How many segments that end at this one's start or before are still being written. */
  unfinishedBefore(start: Lsn): number {
    const size = BigInt(this.#place.segmentBytes);
    return Number(start / size - this.#flushed / size);
  }

  /** Whether more may be appended now. */
  get hasRoom(): boolean {
    return this.#waitingBytes < WAITING_BYTES;
  }

  /** Resolves when what is being written now is safe, or could not be written. */
  async batchWritten(): Promise<void> {
    // Whose failure it is hears of it by itself.
    await this.#batch?.catch(() => undefined);
  }

  /** The next bytes, which nobody may change afterwards. */
  append(bytes: Buffer): void {
    if (this.#failure !== undefined || bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#came?.();
    this.#working ??= this.#work();
  }

  /** Passes over a segment that somebody else takes. Only when all that was appended is safe, and ended with a segment. */
  passOver(): void {
    this.#written = lsn(this.#written + BigInt(this.#place.segmentBytes));
    this.#flushed = this.#written;
  }

  /** Resolves when all that was appended is safe. @throws LOCAL_IO, STORAGE_FULL when that failed */
  async drained(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends what is being written, and closes the segment. */
  async close(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment === undefined) return;
    const end = Math.max(Number(this.#written % BigInt(this.#place.segmentBytes)), segment.oldBytes);
    // Everything in it that matters was synced: a failure here tells nothing more. Only zeros of this session are cut off.
    if (this.#failure === undefined && end < segment.size) await segment.handle.truncate(end).catch(() => undefined);
    await segment.handle.close().catch(() => undefined);
  }

  async #work(): Promise<void> {
    try {
      while (this.#waitingBytes > 0) {
        await this.#gather();
        const began = performance.now();
        this.#batch = this.#writeBatch();
        await this.#batch;
        this.#groups.wrote(performance.now() - began, this.#waitingBytes > 0);
      }
    } catch (error) {
      this.#failure = toWaldenError(error);
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#events.failed(this.#failure);
    } finally {
      this.#working = undefined;
    }
  }

  /** Waits for more where that is worth it: commits that wait for the disk are then written together. */
  async #gather(): Promise<void> {
    while (this.#waitingBytes < SMALL_BATCH_BYTES) {
      const { waitMs } = this.#groups;
      if (waitMs === undefined) return;
      this.#groups.waited(await this.#moreWithin(waitMs));
    }
  }

  #moreWithin(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (came: boolean): void => {
        clearTimeout(timer);
        this.#came = undefined;
        resolve(came);
      };
      const timer = setTimeout(end, milliseconds, false);
      this.#came = () => {
        end(true);
      };
    });
  }

  /** As much as waits, up to the end of the segment: written to the disk, told. */
  async #writeBatch(): Promise<void> {
    const { segmentBytes } = this.#place;
    const offset = Number(this.#written % BigInt(segmentBytes));
    const { pieces, bytes } = this.#takeBatch(segmentBytes - offset);
    const segment = (this.#segment ??= await this.#open());
    try {
      await this.#compare(segment, pieces, offset);
      const zeros = zerosBehind(segment, offset + bytes, bytes, segmentBytes);
      await writeAll(segment.handle, [...pieces, zeros], offset);
      segment.size = Math.max(segment.size, offset + bytes + zeros.length);
      this.#written = lsn(this.#written + BigInt(bytes));
    } catch (error) {
      throw localIoError(error, `unable to write ${this.#place.spool.partialPath(segment.name)}`, {
        hint: 'PostgreSQL keeps the WAL in its slot until this works',
      });
    }
    if (offset + bytes === segmentBytes) await this.#finish(segment);
    this.#flushed = this.#written;
    this.#events.flushed(this.#flushed);
  }

  #takeBatch(most: number): { readonly pieces: Buffer[]; readonly bytes: number } {
    const pieces: Buffer[] = [];
    let bytes = 0;
    while (bytes < most && pieces.length < MAX_PIECES) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const fits = next.subarray(0, most - bytes);
      if (fits.length < next.length) this.#waiting.unshift(next.subarray(fits.length));
      pieces.push(fits);
      bytes += fits.length;
    }
    this.#waitingBytes -= bytes;
    return { pieces, bytes };
  }

  async #open(): Promise<OpenSegment> {
    const { spool, timeline, segmentBytes } = this.#place;
    const name = segmentName(timeline, segmentNumber(this.#written, segmentBytes), segmentBytes);
    const path = spool.partialPath(name);
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, OPEN_PARTIAL, PARTIAL_MODE);
      const { size } = await handle.stat();
      await spool.syncName();
      return { name, handle, oldBytes: size, oldNonZeroBytes: await lengthWithoutZeros(handle, size), size };
    } catch (error) {
      await handle?.close();
      throw localIoError(error, `unable to open ${path}`);
    }
  }

  async #finish(segment: OpenSegment): Promise<void> {
    this.#segment = undefined;
    await segment.handle.close();
    await this.#place.spool.finish(segment.name);
    this.#events.finished(segment.name);
  }

  /** Whatever the reason that the bytes are others now: those that are there may have been acknowledged. */
  async #compare(segment: OpenSegment, pieces: readonly Buffer[], offset: number): Promise<void> {
    let at = offset;
    for (const piece of pieces) {
      if (at >= segment.oldNonZeroBytes) return;
      const old = Buffer.allocUnsafe(Math.min(piece.length, segment.oldNonZeroBytes - at));
      const { bytesRead } = await segment.handle.read(old, 0, old.length, at);
      if (old.compare(piece, 0, bytesRead, 0, bytesRead) !== 0) {
        const kept = await this.#place.spool.keepCopy(segment.name);
        segment.oldBytes = 0;
        segment.oldNonZeroBytes = 0;
        // Behind the bytes that come now, the old ones would look like WAL that follows them. What is the same before them
        // may have been acknowledged, and stays.
        segment.size = at + firstDifference(old.subarray(0, bytesRead), piece);
        await segment.handle.truncate(segment.size);
        this.#events.differed(segment.name, kept);
      }
      at += piece.length;
    }
  }
}

/** Zeros for what comes next, where the file ends behind a small batch. */
function zerosBehind({ size }: OpenSegment, end: number, batchBytes: number, segmentBytes: SegmentBytes): Buffer {
  if (batchBytes >= SMALL_BATCH_BYTES || end <= size) return ZEROS.subarray(0, 0);
  const next = Math.min(Math.ceil(end / ZEROS.length) * ZEROS.length, segmentBytes);
  return ZEROS.subarray(0, next - end);
}

/** Where the last byte ends that is not zero. A service that was killed leaves the zeros that it had written ahead. */
async function lengthWithoutZeros(handle: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const chunk = Buffer.allocUnsafe(Math.min(end, ZEROS.length));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, end - chunk.length);
    const last = chunk.subarray(0, bytesRead).findLastIndex((byte) => byte !== 0);
    if (last >= 0) return end - chunk.length + last + 1;
    end -= chunk.length;
  }
  return 0;
}

/** Where they differ, or the first one ends. */
function firstDifference(one: Uint8Array, other: Uint8Array): number {
  const found = one.findIndex((byte, index) => byte !== other[index]);
  return found < 0 ? one.length : found;
}

async function writeAll(handle: FileHandle, pieces: readonly Buffer[], offset: number): Promise<void> {
  let left = pieces;
  let at = offset;
  while (left.length > 0) {
    const { bytesWritten } = await handle.writev([...left], at);
    at += bytesWritten;
    left = without(left, bytesWritten);
  }
}

/** What is left of the pieces behind so many bytes. */
function without(pieces: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.length);
    skip -= skipped;
    return skipped === piece.length ? [] : [piece.subarray(skipped)];
  });
}
