import { crc32c } from '../../src/postgres/crc32c.ts';
import { type Lsn, lsn, systemIdentifier, timelineId } from '../../src/postgres/lsn.ts';
import type { SegmentExpectation } from '../../src/postgres/segment-walker.ts';
import { type SegmentBytes, segmentBytes } from '../../src/postgres/wal-name.ts';

export const PAGE = 8192;
const MAGIC: Readonly<Record<number, number>> = {
  13: 0xd106,
  14: 0xd10d,
  15: 0xd110,
  16: 0xd113,
  17: 0xd116,
  18: 0xd118,
};

export interface BuiltRecord {
  readonly rmid: number;
  readonly info: number;
  readonly xid: number;
  /** Everything after the header of the record. */
  readonly body: Uint8Array;
}

export interface BuilderOptions {
  readonly majorVersion?: number;
  readonly segmentBytes?: number;
  readonly firstSegment?: bigint;
  readonly timeline?: number;
  /** Bytes of a record of an earlier segment that this one begins with. */
  readonly continuation?: number;
}

/** Writes WAL as PostgreSQL lays it out (CopyXLogRecordToWAL): a model to hold the reader against. */
export class WalBuilder {
  readonly segmentBytes: SegmentBytes;
  readonly #majorVersion: number;
  readonly #firstSegment: bigint;
  readonly #segments: Buffer[] = [];
  #timeline: number;
  /** Offset from the start of the first segment. */
  #at = 0;
  #previous: bigint;
  #recordStart = 0;

  constructor(options: BuilderOptions = {}) {
    this.segmentBytes = segmentBytes(options.segmentBytes ?? 1 << 20);
    this.#majorVersion = options.majorVersion ?? 17;
    this.#firstSegment = options.firstSegment ?? 3n;
    this.#timeline = options.timeline ?? 1;
    this.#previous = this.start - 64n;
    if (options.continuation !== undefined)
      this.#write(Buffer.alloc(options.continuation, 7), options.continuation, true);
    this.#align();
  }

  get start(): bigint {
    return this.#firstSegment * BigInt(this.segmentBytes);
  }

  /** Where the next record goes, as PostgreSQL tells it: at the start of a page, not behind its header. */
  get position(): Lsn {
    return lsn(this.start + BigInt(this.#at));
  }

  /** Bytes that are left on the page for a record; a page that has not begun counts whole. */
  get leftOnPage(): number {
    return PAGE - (this.#at % PAGE) - (this.#at % PAGE === 0 ? this.#headerBytes(this.#at) : 0);
  }

  get segments(): readonly Buffer[] {
    return this.#segments;
  }

  set timeline(value: number) {
    this.#timeline = value;
  }

  /** @returns the end of the record */
  add({ rmid, info, xid, body }: BuiltRecord): Lsn {
    const record = Buffer.concat([Buffer.alloc(24), body]);
    if (this.#at % PAGE === 0) this.#beginPage(0);
    this.#recordStart = this.#at;
    record.writeUInt32LE(record.length, 0);
    record.writeUInt32LE(xid, 4);
    record.writeBigUInt64LE(this.#previous, 8);
    record.writeUInt8(info, 16);
    record.writeUInt8(rmid, 17);
    record.writeUInt32LE(crc32c(record, 0, 20, crc32c(record, 24)), 20);
    this.#previous = this.position;
    this.#write(record, record.length, false);
    this.#align();
    return this.position;
  }

  /** Ends the segment with a switch record. */
  switch(): Lsn {
    const end = this.add({ rmid: 0, info: 0x40, xid: 0, body: new Uint8Array(0) });
    this.#at = Math.ceil(this.#at / this.segmentBytes) * this.segmentBytes;
    return end;
  }

  /** Gives up the last record behind the page it began on, as a server does that crashed while it was written. */
  overwriteLast(): void {
    const page = (Math.floor(this.#recordStart / PAGE) + 1) * PAGE;
    for (let at = page; at < this.#segments.length * this.segmentBytes; at += PAGE) this.#page(at).fill(0);
    this.#at = page;
    this.#beginPage(0, 0x08);
  }

  /** What a walker of the segment with this index must be told. */
  expectation(index = 0, kind: 'segment' | 'partial' = 'segment'): SegmentExpectation {
    return {
      timeline: timelineId(this.#timeline),
      segment: this.#firstSegment + BigInt(index),
      segmentBytes: this.segmentBytes,
      systemIdentifier: systemIdentifier('7300000000000000001'),
      majorVersion: this.#majorVersion,
      kind,
    };
  }

  #headerBytes(at: number): number {
    return at % this.segmentBytes === 0 ? 40 : 24;
  }

  #page(at: number): Buffer {
    const index = Math.floor(at / this.segmentBytes);
    while (this.#segments.length <= index) this.#segments.push(Buffer.alloc(this.segmentBytes));
    const offset = at % this.segmentBytes;
    return this.#segments[index]!.subarray(offset, offset + PAGE);
  }

  #beginPage(remaining: number, flags = 0): void {
    const page = this.#page(this.#at);
    const long = this.#at % this.segmentBytes === 0;
    page.writeUInt16LE(MAGIC[this.#majorVersion]!, 0);
    page.writeUInt16LE(flags | (remaining > 0 ? 1 : 0) | (long ? 2 : 0) | 4, 2);
    page.writeUInt32LE(this.#timeline, 4);
    page.writeBigUInt64LE(this.position, 8);
    page.writeUInt32LE(remaining, 16);
    if (long) {
      page.writeBigUInt64LE(7300000000000000001n, 24);
      page.writeUInt32LE(this.segmentBytes, 32);
      page.writeUInt32LE(PAGE, 36);
    }
    this.#at += this.#headerBytes(this.#at);
  }

  #write(bytes: Uint8Array, total: number, continues: boolean): void {
    let written = 0;
    while (written < total) {
      if (this.#at % PAGE === 0) this.#beginPage(continues || written > 0 ? total - written : 0);
      const part = Math.min(total - written, PAGE - (this.#at % PAGE));
      this.#page(this.#at - (this.#at % PAGE)).set(bytes.subarray(written, written + part), this.#at % PAGE);
      written += part;
      this.#at += part;
    }
  }

  #align(): void {
    this.#at = (this.#at + 7) & ~7;
  }
}

/** A record that says nothing to the index. */
export function filler(bodyBytes: number): BuiltRecord {
  return { rmid: 10, info: 0, xid: 0, body: Buffer.alloc(bodyBytes, 0x5a) };
}

/** `time` in PostgreSQL's microseconds since 2000. */
export function commit(xid: number, time: bigint, aborted = false): BuiltRecord {
  return { rmid: 1, info: aborted ? 0x20 : 0, xid, body: mainData(moment(time)) };
}

export interface PreparedParts {
  readonly aborted?: boolean;
  readonly subxacts?: number;
  readonly relations?: number;
  readonly droppedStats?: number;
  readonly droppedStatsBytes?: number;
  readonly invalidations?: number;
}

/** The end of a prepared transaction; `own` is the id in the record's header, `xid` the transaction. */
export function commitPrepared(xid: number, time: bigint, parts: PreparedParts = {}): BuiltRecord {
  const list = (count: number, bytes: number): Buffer => {
    const block = Buffer.alloc(4 + count * bytes, 0xee);
    block.writeUInt32LE(count, 0);
    return block;
  };
  const { subxacts, relations, droppedStats, invalidations, droppedStatsBytes = 12 } = parts;
  const blocks: Buffer[] = [Buffer.alloc(8, 1)];
  let xinfo = 0x01 | 0x10 | 0x80;
  const add = (flag: number, count: number | undefined, bytes: number): void => {
    if (count === undefined) return;
    xinfo |= flag;
    blocks.push(list(count, bytes));
  };
  add(0x02, subxacts, 4);
  add(0x04, relations, 12);
  add(0x100, droppedStats, droppedStatsBytes);
  add(0x08, invalidations, 16);
  const [head, tail] = [Buffer.alloc(4), Buffer.alloc(4)];
  head.writeUInt32LE(xinfo, 0);
  tail.writeUInt32LE(xid, 0);
  const body = mainData(Buffer.concat([moment(time), head, ...blocks, tail, Buffer.from('name\0')]));
  return { rmid: 1, info: (parts.aborted === true ? 0x40 : 0x30) | 0x80, xid: 0, body };
}

export function restorePoint(name: string, time: bigint): BuiltRecord {
  const field = Buffer.alloc(64);
  field.write(name);
  return { rmid: 0, info: 0x70, xid: 0, body: mainData(Buffer.concat([moment(time), field])) };
}

function moment(time: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(time);
  return bytes;
}

/** With the origin and the top-level transaction before it, as logical replication writes them. */
export function mainData(data: Uint8Array, withOrigin = false): Buffer {
  const before = withOrigin ? Buffer.from([253, 1, 0, 252, 9, 9, 9, 9]) : Buffer.alloc(0);
  const head = data.length < 256 ? Buffer.from([255, data.length]) : Buffer.alloc(5, 254);
  if (data.length >= 256) head.writeUInt32LE(data.length, 1);
  return Buffer.concat([before, head, data]);
}
