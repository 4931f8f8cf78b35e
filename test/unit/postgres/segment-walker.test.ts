import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { systemIdentifier, timelineId } from '../../../src/postgres/lsn.ts';
import { type SegmentExpectation, SegmentWalker } from '../../../src/postgres/segment-walker.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import {
  commit,
  commitPrepared,
  filler,
  mainData,
  PAGE,
  restorePoint,
  WalBuilder,
  type BuilderOptions,
  type PreparedParts,
} from '../../support/wal-builder.ts';

const SEGMENT = 1 << 20;
const EPOCH = 946_684_800_000_000;

function walk(bytes: Uint8Array, expected: SegmentExpectation, chunkBytes = 256 * 1024) {
  const walker = new SegmentWalker(expected);
  for (let at = 0; at < bytes.length; at += chunkBytes) walker.feed(bytes.subarray(at, at + chunkBytes));
  return walker.finish();
}

function refusal(bytes: Uint8Array, expected: SegmentExpectation): { code: string; message: string } {
  try {
    walk(bytes, expected);
  } catch (error) {
    if (isWaldenError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('the segment was taken');
}

/** A builder whose first segment is full to its last byte and a bit more. */
function full(options?: BuilderOptions): WalBuilder {
  const builder = new WalBuilder(options);
  while (builder.segments.length < 2) builder.add(filler(900));
  return builder;
}

describe('SegmentWalker', () => {
  it('may be one of several that are fed in turns, from places of any alignment', () => {
    const builder = full();
    const shifted = Buffer.alloc(SEGMENT + 3);
    const walkers = [0, 1, 2, 3].map((place) => {
      builder.segments[0]!.copy(shifted, place);
      return { bytes: Buffer.from(shifted).subarray(place), walker: new SegmentWalker(builder.expectation()) };
    });
    for (let at = 0; at < SEGMENT; at += 50_001) {
      for (const { bytes, walker } of walkers) walker.feed(bytes.subarray(at, Math.min(at + 50_001, SEGMENT)));
    }
    for (const { walker } of walkers) {
      expect(walker.finish()).toEqual(walk(builder.segments[0]!, builder.expectation()));
      expect(walker.lastRecord).toBeDefined();
    }
  });

  it('takes a segment whose last record goes on in the next one, and the next one', () => {
    const builder = full();
    builder.add(commit(700, 5n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation(0)).commits).toBe(0);
    expect(walk(builder.segments[1]!, builder.expectation(1)).commits).toBe(1);
  });

  it('takes a segment that ends exactly with a record, and begins the next one after it', () => {
    const builder = new WalBuilder();
    while (builder.position < builder.start + BigInt(SEGMENT - PAGE)) builder.add(filler(500));
    builder.add(filler(builder.leftOnPage - 24 - 200));
    builder.add(filler(builder.leftOnPage - 24));
    expect(builder.position).toBe(builder.start + BigInt(SEGMENT));
    builder.add(commit(7, 1n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation(0)).commits).toBe(0);
    expect(walk(builder.segments[1]!, builder.expectation(1)).lastXid).toBe(7);
  });

  it('takes a segment that was switched away from early', () => {
    const builder = new WalBuilder();
    builder.add(commit(700, 5n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation()).commits).toBe(1);
  });

  it('takes segments that are nothing but the middle of one long record', () => {
    const builder = new WalBuilder();
    builder.add(filler(100));
    builder.add(filler(3 * SEGMENT));
    const end = builder.add(restorePoint('after', 1n));
    builder.switch();
    expect(builder.segments.length).toBe(4);
    expect(walk(builder.segments[1]!, builder.expectation(1)).commits).toBe(0);
    expect(walk(builder.segments[2]!, builder.expectation(2)).commits).toBe(0);
    expect(walk(builder.segments[3]!, builder.expectation(3)).restorePoints).toEqual([
      { name: 'after', lsn: end, time: EPOCH + 1 },
    ]);
  });

  it('goes on after a record that a crashed server gave up', () => {
    const builder = new WalBuilder();
    builder.add(filler(100));
    builder.add(filler(20_000));
    builder.overwriteLast();
    builder.add(commit(9, 2n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation()).commits).toBe(1);
  });

  it('takes a first segment of a new timeline, which begins with pages of the old one', () => {
    const builder = new WalBuilder({ timeline: 1 });
    builder.add(filler(20_000));
    builder.timeline = 2;
    builder.add(filler(20_000));
    builder.add(commit(9, 2n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation()).commits).toBe(1);
    expect(refusal(builder.segments[0]!, { ...builder.expectation(), timeline: timelineId(1) }).code).toBe(
      'FORMAT_INVALID',
    );
  });

  it('takes segments of every size, far into the WAL', () => {
    for (const bytes of [1 << 20, 1 << 24, 1 << 26]) {
      const firstSegment = 0xffff_ffff_ffff_ffffn / BigInt(bytes) - 5n;
      const builder = new WalBuilder({ segmentBytes: bytes, firstSegment });
      builder.add(filler(bytes));
      const end = builder.add(restorePoint('far', 1n));
      builder.switch();
      expect(walk(builder.segments[0]!, builder.expectation(0)).restorePoints).toEqual([]);
      expect(walk(builder.segments[1]!, builder.expectation(1)).restorePoints[0]?.lsn).toBe(end);
    }
  });

  it('never refuses a record of a kind that it does not know', () => {
    const builder = new WalBuilder();
    builder.add({ rmid: 200, info: 0xff, xid: 1, body: Buffer.alloc(50, 255) });
    builder.add({ rmid: 1, info: 0xf0, xid: 1, body: Buffer.alloc(50, 255) });
    builder.add({ rmid: 1, info: 0x80, xid: 1, body: Buffer.alloc(3, 255) });
    builder.add({ rmid: 0, info: 0x70, xid: 1, body: mainData(Buffer.alloc(2)) });
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation()).commits).toBe(0);
  });

  it('takes files of every release from 13 to 18 and no other', () => {
    for (const majorVersion of [13, 14, 15, 16, 17, 18]) {
      const builder = full({ majorVersion });
      expect(walk(builder.segments[0]!, builder.expectation()).commits).toBe(0);
      const other = { ...builder.expectation(), majorVersion: majorVersion === 13 ? 14 : 13 };
      expect(refusal(builder.segments[0]!, other).code).toBe('SERVER_MISMATCH');
    }
    const builder = full();
    builder.segments[0]!.writeUInt16LE(0xd0ff, 0);
    expect(refusal(builder.segments[0]!, builder.expectation()).code).toBe('FORMAT_INVALID');
  });

  it('refuses a file of another cluster, segment size or place', () => {
    const builder = full();
    const [bytes, expected] = [builder.segments[0]!, builder.expectation()];
    expect(refusal(bytes, { ...expected, systemIdentifier: systemIdentifier('1') }).code).toBe('SERVER_MISMATCH');
    expect(refusal(bytes, { ...expected, segmentBytes: segmentBytes(2 << 20), segment: 1n }).code).toBe(
      'SERVER_MISMATCH',
    );
    expect(refusal(bytes, { ...expected, segment: expected.segment + 1n })).toMatchObject({
      code: 'FORMAT_INVALID',
      message: 'it is the segment of timeline 1 at 0/300000, not at 0/400000',
    });
  });

  it('refuses a half-written segment and says where its WAL ends', () => {
    const builder = new WalBuilder();
    builder.add(filler(100));
    expect(refusal(builder.segments[0]!, builder.expectation())).toEqual({
      code: 'FORMAT_INVALID',
      message: 'its WAL is not whole at 0/3000A8: the WAL ends there',
    });
  });

  it('refuses a segment in which the pages of an earlier life follow', () => {
    const [builder, older] = [full(), full({ firstSegment: 2n })];
    const mixed = Buffer.concat([
      builder.segments[0]!.subarray(0, SEGMENT / 2),
      older.segments[0]!.subarray(SEGMENT / 2),
    ]);
    expect(refusal(mixed, builder.expectation()).message).toContain('there is no page of this segment there');
  });

  it('refuses a page with the magic of another release', () => {
    const builder = full();
    builder.segments[0]!.writeUInt16LE(0xd110, 5 * PAGE);
    expect(refusal(builder.segments[0]!, builder.expectation()).message).toContain('at 0/30A000: there is no page');
  });

  it('refuses a record with a wrong link even where its checksum stands in the next segment', () => {
    const builder = full();
    const segment = builder.segments[0]!;
    const rest = builder.segments[1]!.readUInt32LE(16);
    const onPage = 24 + 900 - rest;
    const at = SEGMENT - onPage;
    expect(segment.readUInt32LE(at)).toBe(924);
    segment.writeUInt32LE(segment.readUInt32LE(at + 8) + 8, at + 8);
    expect(refusal(segment, builder.expectation()).message).toContain('does not follow the one before');
  });

  it('refuses a file that is cut off or too long, whatever its records say', () => {
    const builder = new WalBuilder();
    builder.switch();
    const [segment, expected] = [builder.segments[0]!, builder.expectation()];
    expect(refusal(segment.subarray(0, SEGMENT - 1), expected).message).toContain('has 1048575 bytes');
    expect(refusal(Buffer.concat([segment, Buffer.alloc(1)]), expected).message).toContain('has 1048577 bytes');
    expect(refusal(segment.subarray(0, 10), expected).code).toBe('FORMAT_INVALID');
    expect(refusal(segment.subarray(0, 0), expected).code).toBe('FORMAT_INVALID');
  });

  it('takes what is there of a partial segment', () => {
    const builder = new WalBuilder();
    builder.add(commit(700, 5n));
    builder.add(filler(20_000));
    const whole = Buffer.from(builder.segments[0]!);
    expect(walk(whole, builder.expectation(0, 'partial')).commits).toBe(1);
    whole.fill(0, PAGE);
    expect(walk(whole, builder.expectation(0, 'partial')).commits).toBe(1);
    whole.fill(0x77, PAGE);
    expect(walk(whole, builder.expectation(0, 'partial')).commits).toBe(1);
    expect(() => walk(Buffer.alloc(SEGMENT), builder.expectation(0, 'partial'))).toThrow(/does not begin as WAL/);
  });

  it('finds what a record says that is cut by a page', () => {
    const builder = new WalBuilder();
    builder.add(filler(builder.leftOnPage - 24 - 16));
    expect(builder.leftOnPage).toBe(16);
    const end = builder.add(restorePoint('cut', 3n));
    builder.add(filler(builder.leftOnPage - 24 - 40));
    builder.add(commit(11, 4n));
    builder.switch();
    const found = walk(builder.segments[0]!, builder.expectation());
    expect(found.restorePoints).toEqual([{ name: 'cut', lsn: end, time: EPOCH + 3 }]);
    expect(found.lastXid).toBe(11);
  });
});

describe('the index of a segment', () => {
  it('has the earliest and latest commit, whatever their order, and counts no aborts', () => {
    const builder = new WalBuilder();
    builder.add(commit(100, 30n));
    builder.add(commit(101, 10n));
    builder.add(commit(102, 20n));
    builder.add(commit(103, 90n, true));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation())).toMatchObject({
      firstCommit: EPOCH + 10,
      lastCommit: EPOCH + 30,
      commits: 3,
      firstXid: 100,
      lastXid: 103,
    });
  });

  it('orders transactions across the wrap-around', () => {
    const builder = new WalBuilder();
    for (const xid of [0xffff_fff0, 5, 0xffff_ffff, 3]) builder.add(commit(xid, 1n));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation())).toMatchObject({ firstXid: 0xffff_fff0, lastXid: 5 });
  });

  it('looks behind the origin of a replicated transaction', () => {
    const builder = new WalBuilder();
    const time = Buffer.alloc(8);
    time.writeBigInt64LE(42n);
    builder.add({ rmid: 1, info: 0, xid: 8, body: mainData(time, true) });
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation()).lastCommit).toBe(EPOCH + 42);
  });

  it.each<[string, number, PreparedParts]>([
    ['nothing else', 17, {}],
    ['subtransactions', 17, { subxacts: 3 }],
    ['everything', 17, { subxacts: 100, relations: 2, droppedStats: 2, invalidations: 5 }],
    ['the wider statistics of 18', 18, { droppedStats: 2, droppedStatsBytes: 16, invalidations: 1 }],
    ['an abort', 13, { aborted: true, relations: 1 }],
  ])('takes the prepared transaction out of a record with %s', (_, majorVersion, parts) => {
    const builder = new WalBuilder({ majorVersion });
    builder.add(commitPrepared(4711, 6n, parts));
    builder.switch();
    expect(walk(builder.segments[0]!, builder.expectation())).toMatchObject({
      firstXid: 4711,
      lastXid: 4711,
      commits: parts.aborted === true ? 0 : 1,
    });
  });

  it('names transactions in order to who asks', () => {
    const builder = new WalBuilder();
    const ends = [builder.add(commit(5, 1n)), builder.add(commit(6, 2n, true)), builder.add(commitPrepared(4, 3n))];
    builder.switch();
    const seen: unknown[] = [];
    walk(builder.segments[0]!, { ...builder.expectation(), onTransaction: (one) => seen.push(one) });
    expect(seen).toEqual([
      { xid: 5, committed: true, time: EPOCH + 1, end: ends[0] },
      { xid: 6, committed: false, time: EPOCH + 2, end: ends[1] },
      { xid: 4, committed: true, time: EPOCH + 3, end: ends[2] },
    ]);
  });
});
