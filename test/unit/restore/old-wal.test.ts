import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Lsn, TimelineId } from '../../../src/postgres/lsn.ts';
import type { SegmentBytes, WalFileName } from '../../../src/postgres/wal-name.ts';
import { judgeSegments, type SeenSegment } from '../../../src/restore/delta/judge-wal.ts';
import { type OldSegment, readOldSegment } from '../../../src/restore/delta/old-segment-task.ts';
import { PathSet } from '../../../src/restore/delta/path-set.ts';
import { isWithUpstream, type SafeWal, safeUpTo } from '../../../src/restore/delta/safe-wal.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { type BuiltRecord, commit, filler, WalBuilder } from '../../support/wal-builder.ts';

const SIZE = (1 << 20) as SegmentBytes;
const lsn = (value: bigint): Lsn => value as Lsn;
const timeline = (value: number): TimelineId => value as TimelineId;

const prepare: BuiltRecord = { rmid: 1, info: 0x10, xid: 9, body: Buffer.from([255, 4, 1, 2, 3, 4]) };

function read(
  builder: WalBuilder,
  index: number,
  more: { stored?: readonly Sha256Hex[]; safe?: Lsn } = {},
): OldSegment {
  const { segment, timeline: own, systemIdentifier, majorVersion, segmentBytes } = builder.expectation(index);
  const path = join(newDirectory('segment'), 'file');
  writeFileSync(path, builder.segments[index]!);
  const identity = { systemIdentifier, majorVersion, segmentBytes };
  return readOldSegment({ path, identity, timeline: own, segment, stored: [], safe: lsn(0n), ...more });
}

describe('readOldSegment', () => {
  it('counts what was committed or prepared behind what is safe, and no abort', () => {
    const builder = new WalBuilder();
    builder.add(commit(5, 1n));
    const safe = builder.add(filler(100));
    builder.add(commit(6, 2n, true));
    builder.add(commit(7, 3n));
    builder.add(prepare);
    const end = builder.add(filler(100));
    expect(read(builder, 0)).toMatchObject({ kind: 'unfinished', end, lost: { count: 3, mayBeMore: false } });
    expect(read(builder, 0, { safe })).toMatchObject({ lost: { count: 2 } });
    expect(read(builder, 0, { safe: end })).toMatchObject({ lost: { count: 0, last: undefined } });
  });

  it('does not take a record that begins in the segment before for harmless', () => {
    const builder = new WalBuilder({ continuation: 100 });
    const end = builder.add(filler(100));
    expect(read(builder, 0)).toMatchObject({ lost: { count: 0, mayBeMore: true } });
    expect(read(builder, 0, { safe: end })).toMatchObject({ lost: { mayBeMore: false } });
  });

  it('tells a whole segment, one that is stored and one that was recycled', () => {
    const builder = new WalBuilder();
    builder.add(commit(5, 1n));
    builder.switch();
    expect(read(builder, 0).kind).toBe('whole');
    const sha256 = createHash('sha256').update(builder.segments[0]!).digest('hex') as Sha256Hex;
    expect(read(builder, 0, { stored: [sha256] }).kind).toBe('stored');
    const path = join(newDirectory('segment'), 'recycled');
    writeFileSync(path, builder.segments[0]!);
    const { systemIdentifier, majorVersion, segmentBytes, segment } = builder.expectation();
    const identity = { systemIdentifier: systemIdentifier, majorVersion, segmentBytes };
    const input = { path, identity, timeline: timeline(1), stored: [], safe: lsn(0n) };
    expect(readOldSegment({ ...input, segment: segment + 5n }).kind).toBe('foreign');
  });
});

describe('safeUpTo', () => {
  const nothing: SafeWal = {
    segmentBytes: SIZE,
    upstream: undefined,
    histories: [],
    isCovered: () => false,
    tails: [],
  };
  const place = { timeline: timeline(1), segment: 5n };
  const fork = lsn(5n * BigInt(SIZE) + 1000n);
  const history = { timeline: timeline(2), ancestors: [{ timeline: timeline(1), switchLsn: fork }] };

  it('is where the timeline of the followed server forked off, or how far it has come', () => {
    const path = [
      { timeline: timeline(1), begin: lsn(0n), end: fork },
      { timeline: timeline(2), begin: fork, end: undefined },
    ];
    const upstream = { path, flushed: lsn(9n * BigInt(SIZE)) };
    expect(safeUpTo({ ...nothing, upstream }, place)).toBe(fork);
    expect(safeUpTo({ ...nothing, upstream }, { ...place, timeline: timeline(2) })).toBe(upstream.flushed);
    expect(safeUpTo({ ...nothing, upstream }, { ...place, timeline: timeline(3) })).toBe(0n);
    expect(isWithUpstream({ ...nothing, upstream }, place)).toBe(false);
    expect(isWithUpstream({ ...nothing, upstream }, { timeline: timeline(2), segment: 8n })).toBe(true);
    expect(isWithUpstream({ ...nothing, upstream }, { timeline: timeline(2), segment: 9n })).toBe(false);
  });

  it('is the fork where the first segment of the next timeline is stored', () => {
    const histories = [history];
    expect(safeUpTo({ ...nothing, histories }, place)).toBe(0n);
    const isCovered = (one: typeof place): boolean => one.timeline === 2 && one.segment === 5n;
    expect(safeUpTo({ ...nothing, histories, isCovered }, place)).toBe(fork);
    expect(safeUpTo({ ...nothing, histories, isCovered }, { ...place, segment: 4n })).toBe(0n);
  });

  it('is how far a receiver had come', () => {
    const tails = [{ ...place, end: fork }];
    expect(safeUpTo({ ...nothing, tails }, place)).toBe(fork);
    expect(safeUpTo({ ...nothing, tails }, { ...place, segment: 6n })).toBe(0n);
  });
});

describe('judgeSegments', () => {
  const NONE = { count: 0, last: undefined, mayBeMore: false };

  function seen(segment: bigint, found: Partial<OldSegment>, more: Partial<SeenSegment> = {}): SeenSegment {
    return {
      ...{ name: `s${segment}` as WalFileName, timeline: timeline(1), segment, safe: lsn(0n) },
      ...{ isNameTaken: false, isPrefixOfStored: false, isWithUpstream: false, isReady: false, isWritten: false },
      ...more,
      found: { kind: 'unfinished', end: lsn(segment * BigInt(SIZE) + 500n), lost: NONE, ...found },
    };
  }
  const judged = (...segments: readonly SeenSegment[]): readonly string[] =>
    judgeSegments(segments, SIZE).map(({ name, kind }) => `${name} ${kind}`);

  it('lets go what is stored, what the followed server has, and an end without transactions', () => {
    const stored = seen(4n, { kind: 'stored' });
    expect(judged(stored, seen(5n, { kind: 'whole' }, { isWithUpstream: true }), seen(6n, {}))).toEqual([]);
    expect(judged(seen(6n, { lost: { ...NONE, count: 1 } }, { isPrefixOfStored: true }))).toEqual([]);
  });

  it('names whole segments, and ends with transactions or what may be one', () => {
    expect(judged(seen(5n, { kind: 'whole' }), seen(6n, { lost: { ...NONE, count: 2 } }))).toEqual([
      's5 file',
      's6 end',
    ]);
    expect(judged(seen(6n, { lost: { ...NONE, mayBeMore: true } }))).toEqual(['s6 end']);
  });

  it('takes a recycled file for nothing, but not one that has been written', () => {
    expect(judged(seen(9n, { kind: 'foreign' }))).toEqual([]);
    expect(judged(seen(9n, { kind: 'foreign' }, { isReady: true }))).toEqual(['s9 unreadable']);
    expect(judged(seen(9n, { kind: 'foreign' }, { isWritten: true }))).toEqual(['s9 unreadable']);
    expect(judged(seen(9n, { kind: 'foreign' }, { isWritten: true, isNameTaken: true }))).toEqual([]);
  });

  it('does not take a damaged segment before others for the end of the WAL', () => {
    expect(judged(seen(5n, {}), seen(6n, {}))).toEqual(['s5 unreadable']);
    expect(judged(seen(5n, {}, { safe: lsn(6n * BigInt(SIZE)) }), seen(6n, {}))).toEqual([]);
  });
});

describe('PathSet', () => {
  it('has what was added, in any order, and knows what was added twice', () => {
    const set = new PathSet();
    const paths = Array.from({ length: 3000 }, (_, index) => `base/5/${index * 7919}`);
    for (const path of paths) set.add(path);
    expect(paths.every((path) => set.has(path))).toBe(true);
    expect(set.has('base/5/1')).toBe(false);
    expect(set.hasRepeated()).toBe(false);
    set.add('base/5/1');
    set.add('base/5/0');
    expect(set.has('base/5/1')).toBe(true);
    expect(set.hasRepeated()).toBe(true);
  });
});
