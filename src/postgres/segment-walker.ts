import { WaldenError } from '../errors.ts';
import { crc32c } from './crc32c.ts';
import { crc32cMemory, PAGES_AREA } from './crc32c-memory.ts';
import { formatLsn, type Lsn, lsn, type SystemIdentifier, type TimelineId } from './lsn.ts';
import { type TransactionEnd, WalIndexBuilder, type WalIndexFound } from './wal-index-builder.ts';
import { type SegmentBytes, segmentStart } from './wal-name.ts';
import {
  FIRST_IS_CONTRECORD,
  FIRST_IS_OVERWRITE_CONTRECORD,
  LONG_HEADER,
  LONG_HEADER_BYTES,
  readSegmentHeader,
  SHORT_HEADER_BYTES,
  WAL_PAGE_BYTES,
} from './wal-page.ts';
import { RECORD_HEADER_BYTES, recordKind } from './wal-record.ts';

/** What the segment must be. */
export interface SegmentExpectation {
  readonly timeline: TimelineId;
  /** Number of the segment. */
  readonly segment: bigint;
  readonly segmentBytes: SegmentBytes;
  readonly systemIdentifier: SystemIdentifier;
  readonly majorVersion: number;
  /** A `partial` file may end anywhere; what follows its last record is leftovers. */
  readonly kind: 'segment' | 'partial';
  /** Called for the end of every transaction, in order. It must not feed a walker. */
  readonly onTransaction?: ((transaction: TransactionEnd) => void) | undefined;
  /** Called with the end of the record of every PREPARE TRANSACTION. It must not feed a walker. */
  readonly onPrepared?: ((end: Lsn) => void) | undefined;
}

/** Of a record that is cut by a page's end, this much is kept to look into; its checksum covers all of it. */
const KEPT_BYTES = 64 * 1024;
/** tot_len is an unsigned 32-bit value, but no record is longer than this (XLogRecordMaxSize and what came before it). */
const MAX_RECORD_BYTES = 0x7fff_ffff;

/**
 * Walks the records of one segment as its bytes pass by, in bounded memory:
 *
 * - between records: the next one begins at an 8-byte boundary, and its length stands on this page;
 * - inside a record that is cut by the end of a page: gathering the rest from the next pages, the checksum on the way. The
 *   rest of a record that began in an earlier segment has no known checksum and is passed over;
 * - after a switch record: nothing more, the rest of the file is filling.
 *
 * A whole segment ends inside a record (the next segment continues it), exactly at a record's end, or after a switch. Any
 * other end is a half-written or recycled file.
 */
export class SegmentWalker {
  readonly #expected: SegmentExpectation;
  readonly #start: Lsn;
  readonly #startLow: number;
  readonly #startHigh: number;
  readonly #index: WalIndexBuilder;
  /** The pages that are walked stand here, and only while `feed` runs: every walker of the thread uses it. */
  readonly #memory = crc32cMemory();
  readonly #kept = new Uint8Array(KEPT_BYTES);
  /** The beginning of a page whose rest has not come yet. */
  readonly #cutPage = new Uint8Array(WAL_PAGE_BYTES);
  #cutPageBytes = 0;
  #fedBytes = 0;
  #magic = 0;
  /** Where the next page begins in the segment. */
  #offset = 0;
  #pageTimeline = 0;
  #ended = false;
  /** Where the last whole record ends. */
  #end = 0;
  /** Start of the record before, or -1 where it is not known. */
  #previous = -1;
  /** The record that is cut by the end of a page; `#remaining` is 0 when there is none. */
  #remaining = 0;
  #recordStart = 0;
  #recordBytes = 0;
  #gathered = 0;
  #crc = 0;
  /** False for the rest of a record of an earlier segment. */
  #checked = false;

  /** @throws LOCAL_IO as crc32cMemory */
  constructor(expected: SegmentExpectation) {
    this.#expected = expected;
    this.#start = segmentStart(expected.segment, expected.segmentBytes);
    this.#startLow = Number(this.#start & 0xffff_ffffn);
    this.#startHigh = Number(this.#start >> 32n);
    this.#index = new WalIndexBuilder(this.#start, expected.majorVersion, expected.onTransaction);
  }

  /** The next bytes of the file, in order, of any length. @throws FORMAT_INVALID, SERVER_MISMATCH */
  feed(chunk: Uint8Array): void {
    this.#fedBytes += chunk.length;
    let taken = 0;
    if (this.#cutPageBytes > 0) {
      taken = this.#fillCutPage(chunk);
      if (this.#cutPageBytes < WAL_PAGE_BYTES) return;
      this.#pages(this.#cutPage);
      this.#cutPageBytes = 0;
    }
    const rest = chunk.length - ((chunk.length - taken) % WAL_PAGE_BYTES);
    for (; taken < rest && !this.#ended; taken += PAGES_AREA.bytes) {
      this.#pages(chunk.subarray(taken, Math.min(taken + PAGES_AREA.bytes, rest)));
    }
    this.#fillCutPage(chunk.subarray(rest));
  }

  /** Where the last record that stands wholly in what was fed begins; undefined when there was none. */
  get lastRecord(): Lsn | undefined {
    return this.#previous < 0 ? undefined : lsn(this.#start + BigInt(this.#previous));
  }

  /** Where the last record that is whole in what was fed ends; the start of the segment when there was none. */
  get end(): Lsn {
    return lsn(this.#start + BigInt(this.#end));
  }

  /** @throws FORMAT_INVALID when the file was not a whole segment. */
  finish(): WalIndexFound {
    const { kind, segmentBytes } = this.#expected;
    if (kind === 'segment' && this.#fedBytes !== segmentBytes) {
      throw this.#invalid(this.#offset, `the file has ${this.#fedBytes} bytes instead of ${segmentBytes}`);
    }
    return this.#index.found();
  }

  /** Returns how many bytes of the chunk it took. */
  #fillCutPage(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, WAL_PAGE_BYTES - this.#cutPageBytes);
    this.#cutPage.set(chunk.subarray(0, taken), this.#cutPageBytes);
    this.#cutPageBytes += taken;
    return taken;
  }

  /** Walks whole pages, no more than the area takes. */
  #pages(pages: Uint8Array): void {
    const end = PAGES_AREA.start + pages.length;
    this.#memory.bytes.fill(pages, PAGES_AREA.start, end);
    for (let at = PAGES_AREA.start; at < end && !this.#ended; at += WAL_PAGE_BYTES) {
      this.#page(at);
      this.#offset += WAL_PAGE_BYTES;
    }
  }

  #page(at: number): void {
    const bodyAt = at + (this.#offset === 0 ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES);
    if (!this.#pageHeader(at)) return;
    const end = at + WAL_PAGE_BYTES;
    let position = bodyAt;
    if (this.#remaining > 0) {
      position = this.#continueRecord(bodyAt, at);
      if (this.#remaining > 0) return;
    }
    while (position < end && !this.#ended) position = this.#record(position, end, at);
  }

  /** Checks the header of a page and what it says about a cut record; false when the walk ends before this page. */
  #pageHeader(at: number): boolean {
    const { bytes, view } = this.#memory;
    if (this.#offset === 0) {
      this.#longHeader(bytes.subarray(at, at + LONG_HEADER_BYTES));
      this.#magic = view.getUint16(at, true);
    }
    const info = view.getUint16(at + 2, true);
    const timeline = view.getUint32(at + 4, true);
    const sound =
      view.getUint16(at, true) === this.#magic &&
      view.getUint32(at + 8, true) === this.#startLow + this.#offset &&
      view.getUint32(at + 12, true) === this.#startHigh &&
      (info & ~0xf) === 0 &&
      ((info & LONG_HEADER) !== 0) === (this.#offset === 0) &&
      timeline >= this.#pageTimeline &&
      timeline <= this.#expected.timeline;
    if (!sound) return this.#stop(this.#offset, 'there is no page of this segment there');
    this.#pageTimeline = timeline;
    return this.#continuation(info, view.getUint32(at + 16, true));
  }

  #longHeader(bytes: Uint8Array): void {
    const header = readSegmentHeader(bytes);
    const { systemIdentifier, majorVersion, segmentBytes } = this.#expected;
    if (header.systemIdentifier !== systemIdentifier) {
      throw this.#mismatch(`system identifier ${header.systemIdentifier}`, systemIdentifier);
    }
    if (header.majorVersion !== majorVersion) {
      throw this.#mismatch(`PostgreSQL ${header.majorVersion}`, majorVersion.toString());
    }
    if (header.segmentBytes !== segmentBytes) {
      throw this.#mismatch(`segments of ${header.segmentBytes} bytes`, segmentBytes.toString());
    }
    if (header.pageAddress !== this.#start || header.timeline > this.#expected.timeline) {
      throw new WaldenError(
        'FORMAT_INVALID',
        `it is the segment of timeline ${header.timeline} at ${formatLsn(header.pageAddress)}, not at ${formatLsn(this.#start)}`,
        { hint: 'this is a recycled file, or a file under the name of another' },
      );
    }
  }

  #continuation(info: number, remaining: number): boolean {
    const continues = (info & FIRST_IS_CONTRECORD) !== 0;
    if ((info & FIRST_IS_OVERWRITE_CONTRECORD) !== 0) {
      // After a crash the server gave the cut record up and went on with a new one here.
      this.#remaining = 0;
      this.#previous = -1;
      return continues ? this.#stop(this.#offset, 'the page contradicts itself') : true;
    }
    if (this.#offset === 0) {
      this.#remaining = continues ? remaining : 0;
      this.#checked = false;
      return true;
    }
    if (continues === this.#remaining > 0 && (!continues || remaining === this.#remaining)) return true;
    return this.#stop(this.#offset, 'the page does not continue the one before');
  }

  /** Takes the next part of a cut record; returns where the next record begins. */
  #continueRecord(from: number, pageAt: number): number {
    const part = Math.min(this.#remaining, pageAt + WAL_PAGE_BYTES - from);
    this.#remaining -= part;
    if (this.#checked) this.#gather(from, from + part);
    const next = aligned(from + part);
    if (this.#remaining > 0) return next;
    if (this.#checked) this.#takeGathered(this.#offset + next - pageAt);
    else this.#end = this.#offset + next - pageAt;
    return next;
  }

  /** The record that begins here; returns where the next one does. */
  #record(position: number, end: number, pageAt: number): number {
    const offset = this.#offset + (position - pageAt);
    const { bytes, words, view, crcOfRecord } = this.#memory;
    const word = position >>> 2;
    const length = (words[word] ?? 0) >>> 0;
    if (length < RECORD_HEADER_BYTES || length > MAX_RECORD_BYTES) {
      this.#stop(offset, length === 0 ? 'the WAL ends there' : `a record cannot have ${length} bytes`);
      return end;
    }
    this.#recordStart = offset;
    this.#recordBytes = length;
    if (position + length > end) {
      this.#remaining = length - (end - position);
      this.#checked = true;
      this.#gathered = 0;
      this.#crc = 0;
      // Also when the record goes on in the next segment, where its checksum cannot be seen.
      const linked = position + 16 <= end;
      if (linked && !this.#pointsBack(view.getUint32(position + 8, true), view.getUint32(position + 12, true))) {
        return end;
      }
      this.#gather(position, end);
      return end;
    }
    if (crcOfRecord(position, position + length) !== words[word + 5]) {
      this.#stop(offset, 'the record there has a wrong checksum');
      return end;
    }
    if (!this.#follows((words[word + 2] ?? 0) >>> 0, (words[word + 3] ?? 0) >>> 0)) return end;
    this.#end = offset + aligned(length);
    if (recordKind(bytes[position + 17] ?? 0, bytes[position + 16] ?? 0) !== 'other') {
      this.#take(new DataView(view.buffer, position, length), offset + aligned(length));
    }
    return position + aligned(length);
  }

  /** Keeps the beginning of a cut record and sums up its checksum: data first, its header last. */
  #gather(from: number, to: number): void {
    const { bytes, crcOfBytes } = this.#memory;
    if (this.#gathered < KEPT_BYTES) {
      this.#kept.set(bytes.subarray(from, Math.min(to, from + KEPT_BYTES - this.#gathered)), this.#gathered);
    }
    const dataFrom = from + Math.max(0, RECORD_HEADER_BYTES - this.#gathered);
    if (dataFrom < to) this.#crc = crcOfBytes(dataFrom, to, this.#crc);
    this.#gathered += to - from;
  }

  #takeGathered(endOffset: number): void {
    const record = new DataView(this.#kept.buffer, 0, Math.min(this.#recordBytes, KEPT_BYTES));
    if (crc32c(this.#kept, 0, 20, this.#crc) !== record.getUint32(20, true)) {
      this.#stop(this.#recordStart, 'the record there has a wrong checksum');
    } else if (this.#follows(record.getUint32(8, true), record.getUint32(12, true))) {
      this.#end = endOffset;
      this.#take(record, endOffset);
    }
  }

  #take(record: DataView, endOffset: number): void {
    const kind = recordKind(record.getUint8(17), record.getUint8(16));
    if (kind === 'other') return;
    if (kind === 'switch') this.#ended = true;
    else if (kind === 'prepare') this.#expected.onPrepared?.(lsn(this.#start + BigInt(endOffset)));
    else this.#index.add(kind, record, endOffset);
  }

  #follows(previousLow: number, previousHigh: number): boolean {
    if (!this.#pointsBack(previousLow, previousHigh)) return false;
    this.#previous = this.#recordStart;
    return true;
  }

  /** Each record points back to the one before: leftovers of an earlier life of the file do not. */
  #pointsBack(low: number, high: number): boolean {
    const known = this.#previous >= 0;
    const right = known
      ? high === this.#startHigh && low === this.#startLow + this.#previous
      : high < this.#startHigh || (high === this.#startHigh && low < this.#startLow + this.#recordStart);
    return right || this.#stop(this.#recordStart, 'the record there does not follow the one before');
  }

  /** A partial file ends quietly where its records do. */
  #stop(offset: number, fact: string): false {
    if (this.#expected.kind === 'segment' || offset === 0) throw this.#invalid(offset, fact);
    this.#ended = true;
    return false;
  }

  #invalid(offset: number, fact: string): WaldenError {
    return new WaldenError(
      'FORMAT_INVALID',
      `its WAL is not whole at ${formatLsn(lsn(this.#start + BigInt(offset)))}: ${fact}`,
      { hint: 'the file is half-written, recycled or damaged; nothing of it was stored', details: { offset } },
    );
  }

  #mismatch(found: string, expected: string): WaldenError {
    return new WaldenError('SERVER_MISMATCH', `it was written by a server with ${found}, expected was ${expected}`);
  }
}

/** Records begin at multiples of 8 (MAXALIGN). */
function aligned(position: number): number {
  return (position + 7) & ~7;
}
