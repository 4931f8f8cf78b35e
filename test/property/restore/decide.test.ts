import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import type { Lsn } from '../../../src/postgres/lsn.ts';
import type { Micros } from '../../../src/postgres/timestamp.ts';
import { newestFirst } from '../../../src/wal/archive-view.ts';
import type { Choice } from '../../../src/restore/choose.ts';
import { decide } from '../../../src/restore/decide.ts';
import type { RecoveryTarget } from '../../../src/restore/target.ts';
import {
  lookupsOf,
  recover,
  SEGMENT,
  type SimArchive,
  type SimBackup,
  type SimRecord,
  type SimTimeline,
  viewOf,
} from '../../support/recovery-simulator.ts';

const STEP = 4096n;

interface Recipe {
  readonly kinds: readonly ('commit' | 'point' | 'other')[];
  readonly perSegment: readonly number[];
}

const recipe = fc.record({
  kinds: fc.array(fc.constantFrom('commit' as const, 'commit' as const, 'point' as const, 'other' as const), {
    minLength: 7,
    maxLength: 7,
  }),
  perSegment: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 7 }),
});

/** Records of one timeline from a position on; every segment gets at least one. */
function recordsFrom(position: bigint, time: number, { kinds, perSegment }: Recipe): SimRecord[] {
  const records: SimRecord[] = [];
  let at = position;
  perSegment.forEach((count, index) => {
    for (let n = 0; n < count; n += 1) {
      const i = records.length;
      records.push({
        start: at,
        end: at + STEP,
        time: time + 10 * (i + 1),
        kind: kinds[i % kinds.length]!,
        xid: 100 + (i % 5) + index,
        name: `p${i % 3}`,
      });
      at += STEP;
    }
    at = (at / BigInt(SEGMENT) + 1n) * BigInt(SEGMENT);
  });
  return records;
}

const archives: fc.Arbitrary<SimArchive> = fc
  .record({
    recipes: fc.array(recipe, { minLength: 1, maxLength: 4 }),
    forks: fc.array(fc.record({ parent: fc.nat(), record: fc.nat() }), { minLength: 4, maxLength: 4 }),
    backups: fc.array(fc.record({ timeline: fc.nat(), from: fc.nat(), length: fc.nat({ max: 5 }) }), { maxLength: 5 }),
    lost: fc.array(fc.nat({ max: 99 }), { minLength: 60, maxLength: 60 }),
    lossPercent: fc.constantFrom(0, 0, 10, 30),
  })
  .map(({ recipes, forks, backups, lost, lossPercent }) => {
    const timelines: SimTimeline[] = [];
    recipes.forEach((one, index) => {
      const parent = timelines[forks[index]!.parent % Math.max(1, timelines.length)];
      const fork = parent?.records[forks[index]!.record % parent.records.length];
      timelines.push({
        id: index + 1,
        ancestors:
          parent === undefined || fork === undefined
            ? []
            : [...parent.ancestors, { timeline: parent.id, switchLsn: fork.end }],
        records: recordsFrom(fork?.end ?? BigInt(SEGMENT), fork?.time ?? 1000, one),
      });
    });
    const files = new Set(
      timelines.flatMap(({ id, ancestors, records }) => {
        const first = ancestors.at(-1)?.switchLsn ?? records[0]!.start;
        const numbers = [first, ...records.map(({ start }) => start)].map((at) => at / BigInt(SEGMENT));
        return numbers.map((number) => `${id}/${number}`);
      }),
    );
    const stored = [...files].filter((_, index) => lost[index % lost.length]! >= lossPercent);
    return {
      timelines,
      backups: backups.flatMap((backup, index) => toBackup(timelines, backup, index)),
      stored: new Set(stored),
    };
  });

function toBackup(
  timelines: readonly SimTimeline[],
  { timeline, from, length }: { readonly timeline: number; readonly from: number; readonly length: number },
  index: number,
): readonly SimBackup[] {
  const { id, records } = timelines[timeline % timelines.length]!;
  const first = records[from % records.length]!;
  const last = records[Math.min((from % records.length) + length, records.length - 1)]!;
  // The end of a backup is a record of its own.
  if (last.kind !== 'other') return [];
  return [{ id: `b${index}`, timeline: id, start: first.start, stop: last.end, stoppedAt: last.time + 5 }];
}

const targets: fc.Arbitrary<RecoveryTarget> = fc.oneof(
  fc.constant({ kind: 'latest' as const }),
  fc.constant({ kind: 'immediate' as const }),
  fc
    .record({ time: fc.integer({ min: 990, max: 1400 }), inclusive: fc.boolean() })
    .map(({ time, inclusive }) => ({ kind: 'time' as const, time: time as Micros, inclusive })),
  fc
    .record({ half: fc.integer({ min: 0, max: 16 * 512 }), inclusive: fc.boolean() })
    .map(({ half, inclusive }) => ({ kind: 'lsn' as const, lsn: (BigInt(half) * (STEP / 2n)) as Lsn, inclusive })),
  fc
    .record({ segment: fc.integer({ min: 1, max: 12 }), step: fc.integer({ min: 0, max: 9 }), inclusive: fc.boolean() })
    .map(({ segment, step, inclusive }) => ({
      kind: 'lsn' as const,
      lsn: (BigInt(segment) * BigInt(SEGMENT) + BigInt(step) * (STEP / 2n)) as Lsn,
      inclusive,
    })),
  fc
    .record({ xid: fc.integer({ min: 100, max: 111 }), inclusive: fc.boolean() })
    .map(({ xid, inclusive }) => ({ kind: 'xid' as const, xid, inclusive })),
  fc.constantFrom('p0', 'p1', 'p2', 'nowhere').map((name) => ({ kind: 'name' as const, name })),
);

/** Whether the choice promises to serve the target from this backup: a moment inside a backup is never promised. */
function isPromised(backup: SimBackup, target: RecoveryTarget): boolean {
  if (target.kind === 'time') return backup.stoppedAt <= target.time;
  return target.kind !== 'lsn' || backup.stop <= target.lsn;
}

async function decided(
  archive: SimArchive,
  target: RecoveryTarget,
  timeline: number | undefined,
): Promise<Choice | undefined> {
  const choice = {
    target,
    timeline: timeline as Choice['candidate']['view']['timeline'],
    backup: undefined,
    notes: [],
  };
  try {
    return await decide(viewOf(archive), choice, lookupsOf(archive));
  } catch (error) {
    if (isWaldenError(error, 'TARGET_UNREACHABLE', 'ARCHIVE_GAP')) return undefined;
    throw error;
  }
}

describe('decide', () => {
  it('chooses only what PostgreSQL recovers to, with all the WAL that it takes', async () => {
    await fc.assert(
      fc.asyncProperty(archives, targets, async (archive, target) => {
        const choice = await decided(archive, target, undefined);
        if (choice === undefined) return;
        const { view, backup } = choice.candidate;
        const simulated = archive.backups.find(({ id }) => id === backup.id)!;
        const outcome = recover(archive, simulated, view.timeline, target);
        expect(outcome.end).toBe('reached');
        const needed = choice.spans.flatMap(({ timeline, from, to }) =>
          Array.from({ length: Number(to - from) + 1 }, (_, index) => `${timeline}/${from + BigInt(index)}`),
        );
        const only = { ...archive, stored: new Set(needed) };
        expect(needed.filter((file) => !archive.stored.has(file))).toEqual([]);
        expect(recover(only, simulated, view.timeline, target)).toEqual(outcome);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses only what no backup of the timeline can serve, and takes the newest that can', async () => {
    await fc.assert(
      fc.asyncProperty(archives, targets, fc.nat(), async (archive, target, pick) => {
        const timeline = (pick % archive.timelines.length) + 1;
        const able = archive.backups
          .filter((backup) => isPromised(backup, target))
          .filter((backup) => recover(archive, backup, timeline, target).end === 'reached');
        const records = viewOf({ ...archive, backups: able }).backups;
        const choice = await decided(archive, target, timeline);
        expect(choice?.candidate.backup.id).toBe([...records].sort(newestFirst)[0]?.id);
      }),
      { numRuns: 2000 },
    );
  });
});
