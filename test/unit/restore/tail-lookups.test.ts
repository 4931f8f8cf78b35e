import { describe, expect, it } from 'vitest';
import type { RepositoryName } from '../../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../../../src/postgres/lsn.ts';
import type { Micros } from '../../../src/postgres/timestamp.ts';
import { type SegmentBytes, segmentName } from '../../../src/postgres/wal-name.ts';
import type { Choice } from '../../../src/restore/choose.ts';
import { decide } from '../../../src/restore/decide.ts';
import type { RecoveryTarget } from '../../../src/restore/target.ts';
import { lookupsWithTail } from '../../../src/restore/tail-lookups.ts';
import { tailNotes } from '../../../src/restore/tail-notes.ts';
import { furthest, newIn, type TailSegment, withTail } from '../../../src/wal/tail.ts';
import { lookupsOf, type SimArchive, type SimRecord, viewOf } from '../../support/recovery-simulator.ts';

const MIB = 1n << 20n;

/** In each segment a commit at its start, at 10 µs × segment, and a restore point behind it. */
function records(from: number, to: number): readonly SimRecord[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index).flatMap((segment): SimRecord[] => {
    const start = BigInt(segment) * MIB;
    return [
      { start, end: start + 4096n, time: 10 * segment, kind: 'commit', xid: 100 + segment, name: '' },
      { start: start + 4096n, end: start + 5000n, time: 10 * segment, kind: 'point', xid: 0, name: `p${segment}` },
    ];
  });
}

const archive: SimArchive = {
  timelines: [{ id: 1, ancestors: [], records: records(1, 6) }],
  backups: [{ id: 'b1', timeline: 1, start: 2n * MIB + 8192n, stop: 2n * MIB + 12288n, stoppedAt: 25 }],
  stored: new Set([1, 2, 3, 4, 5, 6].map((segment) => `1/${segment}`)),
};

function without(...segments: readonly number[]): SimArchive {
  return { ...archive, stored: new Set([...archive.stored].filter((one) => !segments.includes(Number(one.slice(2))))) };
}

/** What the walk of one segment tells. */
function tailSegment(number: number, xid = 0): TailSegment {
  const [commit, point] = records(number, number) as [SimRecord, SimRecord];
  const time = commit.time as Micros;
  return {
    name: segmentName(1 as TimelineId, BigInt(number), Number(MIB) as SegmentBytes),
    timeline: 1 as TimelineId,
    segment: BigInt(number),
    isWhole: number < 6,
    storedIn: undefined,
    end: point.end as Lsn,
    lastRecord: point.start as Lsn,
    index: {
      ...{ firstCommit: time, lastCommit: time, commits: 1, firstXid: commit.xid, lastXid: commit.xid },
      restorePoints: [{ name: point.name, lsn: point.end as Lsn, time }],
      restorePointsOmitted: 0,
    },
    transactionEnds: commit.xid === xid ? [{ end: commit.end as Lsn, time }] : [],
  };
}

const TARGETS: readonly RecoveryTarget[] = [
  { kind: 'latest' },
  { kind: 'immediate' },
  ...[30, 45, 55, 59, 60].flatMap((time) =>
    [true, false].map((inclusive) => ({ kind: 'time' as const, time: time as Micros, inclusive })),
  ),
  ...[104, 105, 106, 107].map((xid) => ({ kind: 'xid' as const, xid, inclusive: true })),
  ...[4n * MIB, 5n * MIB + 4000n, 6n * MIB + 4096n, 6n * MIB + 4097n].map((lsn) => ({
    ...{ kind: 'lsn' as const, lsn: lsn as Lsn, inclusive: true },
  })),
  ...['p4', 'p6', 'p7'].map((name) => ({ kind: 'name' as const, name })),
];

type Told = Pick<Choice, 'from' | 'to' | 'spans' | 'lastCommit'> | string;

function told(target: RecoveryTarget, stored: SimArchive, tail: readonly TailSegment[]): Promise<Told> {
  const choice = { target, timeline: undefined, backup: undefined, notes: [] };
  const view = viewOf(stored);
  const added = newIn(view, tail);
  return decide(withTail(view, added), choice, lookupsWithTail(lookupsOf(stored), added)).then(
    ({ from, to, lastCommit }) => ({ from, to, spans: [], lastCommit }),
    (error: unknown) => (error as Error).message,
  );
}

describe('a plan with a tail', () => {
  it.each(TARGETS)('decides as if the tail was stored: $kind $time$xid$lsn$name', async (target) => {
    const xid = target.kind === 'xid' ? target.xid : undefined;
    const whole = await told(target, archive, []);
    expect(await told(target, without(6), [tailSegment(6, xid)])).toEqual(whole);
    expect(await told(target, without(5, 6), [tailSegment(5, xid), tailSegment(6, xid)])).toEqual(whole);
    // It may have been stored since the tail was read.
    expect(await told(target, archive, [tailSegment(5, xid), tailSegment(6, xid)])).toEqual(whole);
  });

  it('reaches no further than the hole before the tail', async () => {
    expect(await told({ kind: 'latest' }, without(5, 6), [tailSegment(6)])).toMatchObject({ to: 4n });
    const lsn = (6n * MIB) as Lsn;
    expect(await told({ kind: 'lsn', lsn, inclusive: true }, without(5, 6), [tailSegment(6)])).toContain(
      'lies behind a hole',
    );
  });

  it('takes an unfinished segment that others follow for a hole', async () => {
    const unfinished = { ...tailSegment(4), isWhole: false };
    expect(await told({ kind: 'latest' }, without(4), [unfinished])).toMatchObject({ to: 3n });
    const time = 55 as Micros;
    expect(await told({ kind: 'time', time, inclusive: true }, without(4), [unfinished])).toContain(
      'segment 000000010000000000000004 is missing',
    );
    // One that the spool has whole is none.
    expect(await told({ kind: 'latest' }, without(4), [tailSegment(4)])).toMatchObject({ to: 6n });
  });

  it('leaves out a segment in which no record begins', () => {
    const empty = { ...tailSegment(6), lastRecord: undefined };
    expect(newIn(viewOf(without(6)), [empty])).toEqual([]);
  });

  it('takes of each segment what goes furthest, wherever it stands', () => {
    const spooled = tailSegment(6);
    const stored = { ...spooled, storedIn: 'local' as RepositoryName, end: (spooled.end - 8n) as Lsn };
    expect(furthest([stored, spooled, tailSegment(5)])).toEqual([tailSegment(5), spooled]);
    const further = { ...stored, end: (spooled.end + 8n) as Lsn };
    expect(furthest([spooled, further])).toEqual([further]);
    expect(tailNotes([further], [stored])).toEqual([
      `segment ${spooled.name} is unfinished: it is known up to LSN 0/601390, as it was stored last in repository local`,
    ]);
  });

  it('names what it takes from the spool, and what it does not get to', () => {
    const [first, last, unfinished] = [tailSegment(4), tailSegment(5), tailSegment(6)];
    expect(tailNotes([first, last], [unfinished])).toEqual([
      `${unfinished.name} in the receiver's spool is not replayed: it is behind a hole, or of another timeline`,
      `not in the repository yet, but taken from the receiver's spool: ${first.name} to ${last.name}`,
    ]);
    expect(tailNotes([unfinished], []).join()).toContain(
      `${unfinished.name} is unfinished: it is known up to LSN 0/601388`,
    );
  });
});
