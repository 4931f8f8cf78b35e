import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { isWaldenError, localIoError } from '../../errors.ts';
import { fillBuffer } from '../../platform/fill-buffer.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { Lsn, TimelineId } from '../../postgres/lsn.ts';
import { SegmentWalker } from '../../postgres/segment-walker.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import { segmentStart } from '../../postgres/wal-name.ts';
import { FIRST_IS_CONTRECORD, LONG_HEADER_BYTES, SHORT_HEADER_BYTES, WAL_PAGE_BYTES } from '../../postgres/wal-page.ts';

/** On a worker: what stands in a segment of an old data directory. */
export const oldSegmentTask = workerTask<OldSegmentInput, OldSegment>('readOldSegment');

export interface OldSegmentInput {
  readonly path: string;
  readonly identity: ClusterIdentity;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  /** What repositories hold under its name. */
  readonly stored: readonly Sha256Hex[];
  /** Up to here its WAL is safe elsewhere. */
  readonly safe: Lsn;
}

/**
 *   stored      byte for byte what a repository holds
 *   foreign     it does not begin as WAL of this name: recycled for later, or damaged
 *   whole       WAL up to its last byte
 *   unfinished  WAL up to `end`
 */
export interface OldSegment {
  readonly kind: 'stored' | 'foreign' | 'whole' | 'unfinished';
  /** Where its last whole record ends; its start when there is none. */
  readonly end: Lsn;
  readonly lost: LostTransactions;
}

/** What was committed, or prepared to be, behind what is safe. */
export interface LostTransactions {
  readonly count: number;
  readonly last: Micros | undefined;
  /** There may be one that cannot be counted: its record begins in the segment before, or is not understood. */
  readonly mayBeMore: boolean;
}

const CHUNK_BYTES = 256 * 1024;
const NOTHING: LostTransactions = { count: 0, last: undefined, mayBeMore: false };

/** @throws LOCAL_IO */
export function readOldSegment(input: OldSegmentInput): OldSegment {
  const { path } = input;
  const descriptor = onDisk(`unable to open ${path}`, () =>
    openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
  );
  try {
    if (isStored(descriptor, input)) return { kind: 'stored', end: startOf(input), lost: NOTHING };
    return walk(descriptor, input);
  } catch (error) {
    // Only of the first page: behind that a walk ends quietly.
    if (!isWaldenError(error, 'FORMAT_INVALID', 'SERVER_MISMATCH')) throw error;
    return { kind: 'foreign', end: startOf(input), lost: NOTHING };
  } finally {
    closeSync(descriptor);
  }
}

function startOf({ segment, identity }: OldSegmentInput): Lsn {
  return segmentStart(segment, identity.segmentBytes);
}

function isStored(descriptor: number, input: OldSegmentInput): boolean {
  if (input.stored.length === 0) return false;
  const hash = createHash('sha256');
  readChunks(descriptor, input, (chunk) => hash.update(chunk));
  return input.stored.includes(hash.digest('hex') as Sha256Hex);
}

function walk(descriptor: number, input: OldSegmentInput): OldSegment {
  const seen = new SeenTransactions(input.safe);
  const { identity, timeline, segment } = input;
  const walker = new SegmentWalker({ ...identity, timeline, segment, kind: 'partial', ...seen.listeners });
  const strict = new StrictWalk(new SegmentWalker({ ...identity, timeline, segment, kind: 'segment' }));
  let first: Buffer | undefined;
  readChunks(descriptor, input, (chunk) => {
    first ??= Buffer.from(chunk.subarray(0, LONG_HEADER_BYTES));
    walker.feed(chunk);
    strict.feed(chunk);
  });
  // Without one page there is nothing that anybody could read.
  if (
    first === undefined ||
    onDisk(`unable to look at ${input.path}`, () => fstatSync(descriptor).size) < WAL_PAGE_BYTES
  )
    return { kind: 'foreign', end: startOf(input), lost: NOTHING };
  const { commits } = walker.finish();
  return {
    kind: strict.isWhole() ? 'whole' : 'unfinished',
    end: walker.end,
    lost: seen.lost(commits, hasCutRecord(first, input)),
  };
}

/** Whether the rest of a record of the segment before, with which this one begins, goes behind what is safe. */
function hasCutRecord(header: Buffer, input: OldSegmentInput): boolean {
  if ((header.readUInt16LE(2) & FIRST_IS_CONTRECORD) === 0) return false;
  const bytes = header.readUInt32LE(16);
  // Rather too many headers than too few.
  const pages = Math.floor(bytes / (WAL_PAGE_BYTES - SHORT_HEADER_BYTES));
  return startOf(input) + BigInt(LONG_HEADER_BYTES + bytes + (pages + 1) * SHORT_HEADER_BYTES) > input.safe;
}

class SeenTransactions {
  readonly #safe: Lsn;
  #committed = 0;
  #count = 0;
  #last: Micros | undefined;

  constructor(safe: Lsn) {
    this.#safe = safe;
  }

  readonly listeners = {
    onTransaction: ({ committed, time, end }: { committed: boolean; time: Micros; end: Lsn }): void => {
      if (!committed) return;
      this.#committed += 1;
      if (end <= this.#safe) return;
      this.#count += 1;
      if (this.#last === undefined || time > this.#last) this.#last = time;
    },
    onPrepared: (end: Lsn): void => {
      if (end > this.#safe) this.#count += 1;
    },
  };

  /** @param commits as the index of the segment counts them */
  lost(commits: number, isCut: boolean): LostTransactions {
    return { count: this.#count, last: this.#last, mayBeMore: isCut || commits > this.#committed };
  }
}

/** Whether the file would be taken as a whole segment. */
class StrictWalk {
  readonly #walker: SegmentWalker;
  #isSound = true;

  constructor(walker: SegmentWalker) {
    this.#walker = walker;
  }

  feed(chunk: Buffer): void {
    this.#try(() => {
      this.#walker.feed(chunk);
    });
  }

  isWhole(): boolean {
    this.#try(() => this.#walker.finish());
    return this.#isSound;
  }

  #try(step: () => unknown): void {
    if (!this.#isSound) return;
    try {
      step();
    } catch (error) {
      if (!isWaldenError(error, 'FORMAT_INVALID', 'SERVER_MISMATCH')) throw error;
      this.#isSound = false;
    }
  }
}

/** No more than a segment has. */
function readChunks(descriptor: number, { path, identity }: OldSegmentInput, take: (chunk: Buffer) => void): void {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; at < identity.segmentBytes;) {
    const count = onDisk(`unable to read ${path}`, () => fillBuffer(descriptor, buffer, at));
    if (count > 0) take(buffer.subarray(0, count));
    if (count < CHUNK_BYTES) return;
    at += count;
  }
}

function onDisk<Result>(attempted: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, attempted);
  }
}
