import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, WaldenError } from '../../errors.ts';
import type { SegmentRun } from '../../../catalog/catalog.ts';
import type { Clock } from '../../platform/clock.ts';
import { formatLsn, type Lsn, lsn } from '../../postgres/lsn.ts';
import type { ReplicationConnection } from '../../postgres/replication/connection.ts';
import type { WalStream } from '../../postgres/replication/wal-stream.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import { type SegmentBytes, segmentName, segmentStart } from '../../postgres/wal-name.ts';
import type { TakeSegment } from './wal-source.ts';

/** How long the server may say nothing before it is asked to; three of these, and it is lost. */
const SILENCE_MS = 10_000;
const MOST_SILENCES = 3;
/** A server that says only that it lives has nothing to send. */
const WITHOUT_WAL_MS = 60_000;
/** Whole segments that are being stored while the next one comes. */
const MOST_STORING = 3;

export interface StreamPlace {
  readonly connection: ReplicationConnection;
  readonly segmentBytes: SegmentBytes;
  readonly clock: Clock;
  readonly stagingDirectory: string;
}

/**
 * Streams a run, without a slot: each segment that came whole is given as a file, and removed afterwards. What has come of a
 * segment when the stream ends early goes nowhere. The connection can only be closed afterwards.
 * @throws SERVER_QUERY when the server does not have the next segment (SQLSTATE 58P01), SERVER_UNREACHABLE, LOCAL_IO,
 * STORAGE_FULL, and what `take` throws; all that was given is taken by then
 */
export async function streamSegments(place: StreamPlace, run: SegmentRun, take: TakeSegment): Promise<void> {
  const bytes = new WalBytes(place, run);
  const storing = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  try {
    for (let segment = run.first; segment <= run.last && failure === undefined; segment += 1n) {
      const path = await receiveSegment(place, bytes, run, segment);
      const stored = take(segment, path)
        .finally(() => rm(path, { force: true }))
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => storing.delete(stored));
      storing.add(stored);
      while (storing.size >= MOST_STORING) await bytes.whileWaiting(Promise.race(storing));
    }
  } finally {
    await Promise.all(storing);
  }
  if (failure !== undefined) throw failure.error;
}

/** Resolves when the server sends of this segment. @throws as streamSegments */
export async function askForSegment(place: StreamPlace, run: SegmentRun): Promise<void> {
  await new WalBytes(place, run).next();
}

async function receiveSegment(
  { segmentBytes, stagingDirectory }: StreamPlace,
  bytes: WalBytes,
  { timeline }: SegmentRun,
  segment: bigint,
): Promise<string> {
  const path = join(stagingDirectory, `${segmentName(timeline, segment, segmentBytes)}.${randomUUID()}`);
  const end = segmentStart(segment + 1n, segmentBytes);
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'wx', 0o640);
    while (bytes.at < end) await file.writeFile(await bytes.next(end));
    await file.close();
    return path;
  } catch (error) {
    await file?.close();
    await rm(path, { force: true });
    throw localIoError(error, `unable to stage ${path}`);
  }
}

/** What a stream brings, one piece after the other; the server hears statuses meanwhile. */
class WalBytes {
  readonly #clock: Clock;
  readonly #stream: WalStream;
  #at: Lsn;
  /** Came, and was not given. */
  #rest: Buffer = Buffer.alloc(0);

  constructor({ connection, segmentBytes, clock }: StreamPlace, { timeline, first }: SegmentRun) {
    this.#clock = clock;
    this.#at = segmentStart(first, segmentBytes);
    this.#stream = connection.startStreaming({ slot: undefined, timeline, start: this.#at });
  }

  /** Of the next byte. */
  get at(): Lsn {
    return this.#at;
  }

  /** The next bytes, none of them at or behind `end`. */
  async next(end?: Lsn): Promise<Buffer> {
    const bytes = this.#rest.length > 0 ? this.#rest : await this.#receive();
    const wanted = end === undefined ? bytes.length : Math.min(bytes.length, Number(end - this.#at));
    this.#rest = bytes.subarray(wanted);
    this.#at = lsn(this.#at + BigInt(wanted));
    return bytes.subarray(0, wanted);
  }

  /** A store that is slow is no reason for the server to end the connection. */
  async whileWaiting(work: Promise<void>): Promise<void> {
    for (;;) {
      const ended = new AbortController();
      const late = this.#clock.sleep(SILENCE_MS, ended.signal).then(
        () => 'late' as const,
        () => 'ended' as const,
      );
      const first = await Promise.race([work, late]);
      ended.abort();
      if (first !== 'late') return;
      this.#tell(false);
    }
  }

  async #receive(): Promise<Buffer> {
    const since = this.#clock.now().getTime();
    for (let silences = 0; ;) {
      const event = await this.#stream.next(SILENCE_MS);
      if (event.kind === 'wal') {
        if (event.start === lsn(this.#at + BigInt(this.#rest.length))) return event.bytes;
        throw lost(`it sent WAL from ${formatLsn(event.start)} on where ${formatLsn(this.#at)} was next`);
      }
      if (event.kind === 'end') throw lost(`its WAL ends at ${formatLsn(this.#at)}`);
      if (event.kind === 'silence') silences += 1;
      const waitedMs = this.#clock.now().getTime() - since;
      if (silences >= MOST_SILENCES || waitedMs > WITHOUT_WAL_MS) {
        throw lost(`it has sent nothing from ${formatLsn(this.#at)} on for ${Math.round(waitedMs / 1000)} s`);
      }
      this.#tell(event.kind === 'silence');
    }
  }

  /** Flushed is left out: this is no standby that a commit may wait for. */
  #tell(replyNow: boolean): void {
    const at = microsFromDate(this.#clock.now());
    try {
      this.#stream.sendStatus({ written: this.#at, flushed: undefined }, at, replyNow);
    } catch {
      // The connection is lost, which whoever reads from it is told.
    }
  }
}

function lost(fact: string): WaldenError {
  return new WaldenError('SERVER_UNREACHABLE', `PostgreSQL did not send what was asked for: ${fact}`);
}
