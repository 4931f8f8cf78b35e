import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../../src/errors.ts';
import { type Lsn, lsn, type TimelineId } from '../../../../src/postgres/lsn.ts';
import { segmentBytes } from '../../../../src/postgres/wal-name.ts';
import { pathOf } from '../../../../src/wal/path-coverage.ts';
import {
  firstMissing,
  planStart,
  type SpooledSegment,
  type StartKnown,
} from '../../../../src/wal/receive/plan-start.ts';

const SIZE = segmentBytes(1 << 20);
const [ONE, TWO, THREE] = [1, 2, 3] as [TimelineId, TimelineId, TimelineId];

/** A position inside a segment. */
function within(segment: number): Lsn {
  return lsn(BigInt(segment) * BigInt(SIZE) + 100n);
}

function spooled(timeline: TimelineId, segment: number): SpooledSegment {
  return { timeline, segment: BigInt(segment) };
}

function plan(known: Partial<StartKnown>): ReturnType<typeof planStart> {
  return planStart({
    path: pathOf({ timeline: ONE, ancestors: [] }),
    segmentBytes: SIZE,
    partial: undefined,
    finished: undefined,
    archived: undefined,
    missing: undefined,
    slotRestart: undefined,
    serverFlushed: within(90),
    lost: undefined,
    ...known,
  });
}

/** Timeline 2 forked off in segment 20, timeline 3 at the very start of segment 40. */
const path = pathOf({
  timeline: THREE,
  ancestors: [
    { timeline: ONE, switchLsn: within(20) },
    { timeline: TWO, switchLsn: lsn(40n * BigInt(SIZE)) },
  ],
});

describe('where receiving goes on', () => {
  it('in the segment it was cut off in, from its first byte', () => {
    const known = { partial: spooled(ONE, 7), finished: spooled(ONE, 6), archived: 5n, slotRestart: within(7) };
    expect(plan(known)).toEqual({ timeline: ONE, segment: 7n, gap: undefined });
  });

  it('behind the whole segments of the spool, else behind the archive, else where the slot begins, else now', () => {
    expect(plan({ finished: spooled(ONE, 6), archived: 2n, slotRestart: within(1) }).segment).toBe(7n);
    expect(plan({ archived: 2n, slotRestart: within(1) }).segment).toBe(3n);
    expect(plan({ slotRestart: within(1) }).segment).toBe(1n);
    expect(plan({})).toEqual({ timeline: ONE, segment: 90n, gap: undefined });
  });

  it('with what a crash left out before that, unless the server no longer has it', () => {
    expect(plan({ archived: 8n, missing: 6n, slotRestart: within(6) }).segment).toBe(6n);
    expect(plan({ partial: spooled(ONE, 9), archived: 8n, missing: 6n, slotRestart: within(6) }).segment).toBe(6n);
    expect(plan({ archived: 8n, missing: 9n, slotRestart: within(6) }).segment).toBe(9n);
    expect(plan({ archived: 8n, missing: 6n, slotRestart: within(6), lost: 6n })).toMatchObject({ segment: 9n });
    // What the slot keeps is there already, pushed by somebody else.
    expect(plan({ partial: spooled(ONE, 7), archived: 30n, missing: 31n, slotRestart: within(7) }).segment).toBe(7n);
  });

  it('where the server lost a segment that was pushed meanwhile, behind what was pushed and without a gap', () => {
    expect(plan({ partial: spooled(ONE, 7), archived: 30n, lost: 7n })).toEqual({
      ...{ timeline: ONE, segment: 31n, gap: undefined },
    });
  });

  it('where nobody has it any more, with what the server still keeps, and the gap is told', () => {
    expect(plan({ partial: spooled(ONE, 7), archived: 30n, slotRestart: within(50), lost: 31n })).toEqual({
      ...{ timeline: ONE, segment: 50n, gap: { first: 31n, last: 49n } },
    });
    expect(plan({ partial: spooled(ONE, 7), slotRestart: within(7), lost: 7n })).toEqual({
      ...{ timeline: ONE, segment: 90n, gap: { first: 7n, last: 89n } },
    });
  });

  it('on the timeline that the segment is read from', () => {
    expect(plan({ path, partial: spooled(ONE, 7) })).toMatchObject({ timeline: ONE, segment: 7n });
    expect(plan({ path, archived: 18n })).toMatchObject({ timeline: ONE, segment: 19n });
    expect(plan({ path, archived: 19n })).toMatchObject({ timeline: TWO, segment: 20n });
    expect(plan({ path, finished: spooled(TWO, 39) })).toMatchObject({ timeline: THREE, segment: 40n });
  });

  it('in the segment of the fork, on the new timeline, for a tail of the old one', () => {
    expect(plan({ path, partial: spooled(ONE, 20) })).toEqual({ timeline: TWO, segment: 20n, gap: undefined });
    // The server was promoted before it had all that had come from the old one.
    expect(plan({ path, partial: spooled(ONE, 25) })).toEqual({ timeline: TWO, segment: 20n, gap: undefined });
    expect(plan({ path, finished: spooled(ONE, 24) })).toEqual({ timeline: TWO, segment: 20n, gap: undefined });
    expect(plan({ path, partial: spooled(TWO, 40) })).toEqual({ timeline: THREE, segment: 40n, gap: undefined });
  });

  it('nowhere, when the server does not come from the timeline of the spool', () => {
    const refused = (): unknown => plan({ partial: spooled(TWO, 7) });
    expect(refused).toThrow('is on timeline 1, which begins at 0/0, and does not come from timeline 2');
    expect(refused).toThrow(expect.toSatisfy((error: unknown) => isWaldenError(error, 'SERVER_MISMATCH')) as Error);
  });
});

describe('the first segment that is missing', () => {
  const run = (from: number, to: number): { from: bigint; to: bigint; spans: [] } => ({
    ...{ from: BigInt(from), to: BigInt(to), spans: [] },
  });

  it('is the first that one of the repositories lacks, and the spool', () => {
    expect(firstMissing(3n, [[run(1, 5), run(7, 9)]], new Set())).toBe(6n);
    expect(firstMissing(3n, [[run(1, 5), run(7, 9)]], new Set([6n]))).toBe(10n);
    expect(firstMissing(3n, [[run(1, 9)], [run(1, 4), run(6, 9)]], new Set([10n]))).toBe(5n);
    expect(firstMissing(3n, [[run(1, 9)], []], new Set([3n]))).toBe(4n);
    expect(firstMissing(3n, [[run(4, 9)]], new Set())).toBe(3n);
  });
});
