import { WaldenError } from '../../errors.ts';
import { formatLsn, type Lsn, lsn, type TimelineId } from '../../postgres/lsn.ts';
import type { ReplicationConnection } from '../../postgres/replication/connection.ts';
import type { WalMessage } from '../../postgres/replication/wal-messages.ts';
import type { NextTimeline, WalStream } from '../../postgres/replication/wal-stream.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import {
  type SegmentBytes,
  segmentName,
  segmentNumber,
  segmentStart,
  type WalFileName,
} from '../../postgres/wal-name.ts';
import type { Clock } from '../../platform/clock.ts';
import { madeForAMoment } from '../../platform/collector.ts';
import { GatheredSegment } from './gathered-segment.ts';
import type { PlannedStart } from './plan-start.ts';
import type { ReceivedFiles } from './received-files.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import { SegmentWriter, type SegmentWriterEvents } from './segment-writer.ts';
import type { ReceiveSpool } from './receive-spool.ts';

/** In silence so many times, and the server is lost. */
const MOST_SILENCES = 3;

export interface SessionPlace {
  readonly connection: ReplicationConnection;
  readonly spool: ReceiveSpool;
  readonly files: ReceivedFiles;
  readonly segmentBytes: SegmentBytes;
  readonly clock: Clock;
  readonly options: ReceiverOptions;
  readonly differed: SegmentWriterEvents['differed'];
  /** Told whenever a position changed. */
  readonly moved: () => void;
}

/**
 * One stream from its start to its end: every byte goes to the spool in its order, whole segments on to the repositories, and
 * the server is told what is safe, at once when that changes and whenever it asks. A segment that the server has all of goes
 * to the repositories from memory.
 */
export class ReceiveSession {
  readonly #place: SessionPlace;
  readonly #stream: WalStream;
  readonly #writer: SegmentWriter;
  readonly #timeline: TimelineId;
  /** The segment that is being received, where it does not go to the spool. */
  #gathered: GatheredSegment | undefined;
  #received: Lsn;
  #serverEnd: Lsn | undefined;
  /** Whether the server takes statuses. */
  #begun = false;
  /** The last position that the slot was moved to. */
  #told: Lsn | undefined;

  constructor(place: SessionPlace, { timeline, segment }: PlannedStart) {
    const { connection, spool, segmentBytes, options } = place;
    const start = segmentStart(segment, segmentBytes);
    this.#place = place;
    this.#timeline = timeline;
    this.#received = start;
    this.#stream = connection.startStreaming({ slot: options.slot, timeline, start });
    this.#writer = new SegmentWriter(
      { spool, timeline, segmentBytes, start },
      {
        flushed: () => {
          this.report(false);
        },
        finished: (name) => {
          place.files.add(name);
        },
        differed: place.differed,
        failed: (error) => {
          connection.fail(error);
        },
      },
    );
  }

  get received(): Lsn {
    return this.#received;
  }

  get flushed(): Lsn {
    return this.#behindUnsafe(this.#writer.flushed);
  }

  /** As SegmentWriter. */
  usableBytes(segment: WalFileName): number | undefined {
    return this.#writer.usableBytes(segment);
  }

  /** As SegmentWriter. */
  syncedBytes(segment: WalFileName): number | undefined {
    return this.#writer.syncedBytes(segment);
  }

  get serverEnd(): Lsn | undefined {
    return this.#serverEnd;
  }

  /** What the server may forget. */
  get acknowledged(): Lsn {
    const { options, files, segmentBytes } = this.#place;
    const { flushed } = this;
    if (options.acknowledge === 'spool') return flushed;
    const safe = lsn(flushed - (flushed % BigInt(segmentBytes)));
    const { firstStart } = files;
    return firstStart === undefined || safe < firstStart ? safe : firstStart;
  }

  /** Tells the server what is safe; `replyNow`: and wants to hear of it. Where that cannot be sent, `run` fails by itself. */
  report(replyNow: boolean): void {
    const { clock, options, moved } = this.#place;
    const at = microsFromDate(clock.now());
    if (!this.#begun) return;
    const { acknowledged } = this;
    const written = this.#behindUnsafe(this.#writer.written);
    try {
      if (options.acknowledge === 'spool') {
        this.#stream.sendStatus({ written, flushed: acknowledged }, at, replyNow);
      } else {
        if (acknowledged !== this.#told) this.#stream.sendStatus({ written, flushed: acknowledged }, at, false);
        // A server that shuts down waits until everything is flushed that was sent, which the end of a segment that is not
        // full never is here: where nothing is said of that, it waits for what is written (WalSndDone in walsender.c).
        this.#stream.sendStatus({ written, flushed: undefined }, at, replyNow);
      }
      this.#told = acknowledged;
    } catch {
      // The connection is lost, which whoever reads from it is told.
    }
    moved();
  }

  /**
   * Streams until the timeline ends on the server. Whatever it ends with, what had come is in the spool then.
   * @throws SERVER_QUERY, SERVER_UNREACHABLE, STORAGE_FULL, LOCAL_IO
   */
  async run(): Promise<NextTimeline | undefined> {
    try {
      for (let silences = 0; ;) {
        const event = await this.#stream.next(this.#place.options.silenceMs);
        switch (event.kind) {
          case 'begun':
            this.#begun = true;
            // Who has nothing to send would say nothing for long.
            this.report(true);
            break;
          case 'wal':
            silences = 0;
            await this.#take(event);
            break;
          case 'keepalive':
            silences = 0;
            this.#serverEnd = event.serverEnd;
            if (event.replyRequested) this.report(false);
            else this.#place.moved();
            break;
          case 'silence':
            silences += 1;
            if (silences >= MOST_SILENCES) throw this.#silent();
            this.report(true);
            break;
          case 'end':
            this.#keepGathered();
            await this.#writer.drained();
            return await this.#stream.finish();
        }
      }
    } finally {
      this.#keepGathered();
      await this.#writer.close();
    }
  }

  async #take({ start, serverEnd, bytes }: Extract<WalMessage, { kind: 'wal' }>): Promise<void> {
    if (start !== this.#received) {
      const fact = `PostgreSQL sent WAL from ${formatLsn(start)} on where ${formatLsn(this.#received)} was next`;
      throw new WaldenError('SERVER_UNREACHABLE', fact);
    }
    this.#serverEnd = serverEnd;
    const left = this.#place.segmentBytes - this.#bytesOfSegment;
    await this.#append(bytes.subarray(0, left));
    if (bytes.length > left) await this.#append(bytes.subarray(left));
    madeForAMoment(bytes.length);
  }

  /** Bytes of one segment. */
  async #append(bytes: Buffer): Promise<void> {
    if (this.#bytesOfSegment === 0 && bytes.length > 0) await this.#beginSegment();
    this.#received = lsn(this.#received + BigInt(bytes.length));
    const gathered = this.#gathered;
    if (gathered === undefined) {
      this.#writer.append(bytes);
      while (!this.#writer.hasRoom) await this.#reportingUntil(this.#writer.batchWritten());
      return;
    }
    gathered.append(bytes);
    if (!gathered.isWhole) return;
    this.#gathered = undefined;
    this.#place.files.addFromMemory(gathered.name, gathered.content);
    this.#writer.passOver();
  }

  /** How much of the segment has come that is being received. */
  get #bytesOfSegment(): number {
    return Number(this.#received % BigInt(this.#place.segmentBytes));
  }

  /** Settles which way it goes. */
  async #beginSegment(): Promise<void> {
    const { spool, files, segmentBytes, options } = this.#place;
    assertSpoolHasRoom(
      files.count + this.#writer.unfinishedBefore(this.#received),
      segmentBytes,
      options.spoolLimitBytes,
    );
    const end = this.#received + BigInt(segmentBytes);
    if (this.#serverEnd === undefined || this.#serverEnd < end) return;
    const name = segmentName(this.#timeline, segmentNumber(this.#received, segmentBytes), segmentBytes);
    // What of it was acknowledged stays in its place until the same bytes are there once more.
    if (files.has(name) || (await spool.hasPartial(name))) return;
    await this.#reportingUntil(this.#writer.drained());
    const room = await this.#reportingUntil(files.room());
    if (room !== undefined) this.#gathered = new GatheredSegment(name, room);
  }

  /** What has come of a segment that will not become whole in this session. */
  #keepGathered(): void {
    if (this.#gathered !== undefined) this.#writer.append(this.#gathered.content);
    this.#gathered = undefined;
  }

  /** What is in memory alone is neither written nor flushed. */
  #behindUnsafe(position: Lsn): Lsn {
    const { firstUnsafeStart } = this.#place.files;
    return firstUnsafeStart === undefined || position < firstUnsafeStart ? position : firstUnsafeStart;
  }

  /** A disk that is slow is no reason for the server to end the connection: it hears that somebody is here. */
  async #reportingUntil<Result>(work: Promise<Result>): Promise<Result> {
    const { clock, options } = this.#place;
    const ended = new AbortController();
    const report = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(options.silenceMs, ended.signal);
        this.report(false);
      }
    };
    // It ends with the work.
    report().catch(() => undefined);
    try {
      return await work;
    } finally {
      ended.abort();
    }
  }

  #silent(): WaldenError {
    const seconds = (MOST_SILENCES * this.#place.options.silenceMs) / 1000;
    return new WaldenError(
      'SERVER_UNREACHABLE',
      `PostgreSQL has said nothing for ${seconds} s, although it was asked to`,
    );
  }
}

/** @throws STORAGE_FULL when so many files that wait leave no room for one more segment */
export function assertSpoolHasRoom(waitingFiles: number, segmentBytes: SegmentBytes, limitBytes: number): void {
  if (waitingFiles === 0 || (waitingFiles + 1) * segmentBytes <= limitBytes) return;
  throw new WaldenError(
    'STORAGE_FULL',
    `the spool holds ${waitingFiles} received files that are not in every required repository yet: nothing more is received`,
    { hint: 'see what is wrong with the repositories; until then PostgreSQL keeps the WAL in its slot' },
  );
}
