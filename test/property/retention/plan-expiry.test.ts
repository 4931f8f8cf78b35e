import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { archiveOf, type ExpiryInput, newestWritten } from '../../../src/retention/expiry-input.ts';
import { judgeBackups } from '../../../src/retention/judge-backups.ts';
import { isHeld, windowStart } from '../../../src/retention/keep-backups.ts';
import { isIdle, planExpiry } from '../../../src/retention/plan-expiry.ts';
import { micros } from '../../../src/postgres/timestamp.ts';
import { findGaps } from '../../../src/wal/gaps.ts';
import { commonRuns } from '../../../src/wal/segment-runs.ts';
import { afterwards, DAY_SECONDS, reachable, retentionStory, segmentsOf } from '../../support/retention-story.ts';

/** Each property looks at thousands of histories: timelines, chains, holds, holes, upgrades, backups of no use. */
const RUNS = { numRuns: 1000 };

function laterBy(input: ExpiryInput, days: number): ExpiryInput {
  const shift = days * DAY_SECONDS * 1_000_000;
  return { ...input, now: micros(input.now + shift), windowEnd: micros(input.windowEnd + shift) };
}

const END = 1n << 62n;

function size({ segmentBytes }: ExpiryInput): bigint {
  return BigInt(segmentBytes);
}

const days = fc.integer({ min: 0, max: 90 });

describe('planExpiry', () => {
  it('leaves every backup that stays all that it builds on and all of its WAL', () => {
    fc.assert(
      fc.property(retentionStory, (input) => {
        const before = judgeBackups(input);
        const plan = planExpiry(input);
        const after = judgeBackups(afterwards(input, plan));
        const usable = new Set(before.usable.map(({ id }) => id));
        const still = new Set(after.usable.map(({ id }) => id));
        for (const { backup } of plan.backups.stay) expect(still.has(backup.id)).toBe(usable.has(backup.id));
      }),
      RUNS,
    );
  });

  it('leaves a node that was restored lately all the WAL that its recovery may ask for', () => {
    fc.assert(
      fc.property(retentionStory, (input) => {
        const { wal, backups } = planExpiry(input);
        for (const view of judgeBackups(input).views) {
          for (const { id, facts } of view.backups.filter((one) => input.restored.has(one.id))) {
            expect(backups.go.map((one) => one.id)).not.toContain(id);
            const behind = view.path.map(({ timeline, begin }, index) => {
              const first = begin > facts.startLsn ? begin : facts.startLsn;
              const end = view.path[index + 1]?.begin ?? END;
              return { timeline, first: first / size(input), last: end / size(input) };
            });
            const later = behind.filter(({ first, last }) => first <= last);
            expect(commonRuns(wal.go, later)).toEqual([]);
          }
        }
      }),
      RUNS,
    );
  });

  it('leaves every moment of the window within reach that was', () => {
    fc.assert(
      fc.property(retentionStory, (input) => {
        const from = windowStart(input) ?? input.now;
        const after = reachable(afterwards(input, planExpiry(input)), 'from');
        for (const [place, at] of reachable(input, 'behind')) if (at >= from) expect(after.has(place)).toBe(true);
      }),
      RUNS,
    );
  });

  it('never takes the last usable backup, what leads to the newest WAL, or anything while there is none', () => {
    fc.assert(
      fc.property(retentionStory, days, (given, later) => {
        const input = laterBy(given, later);
        const plan = planExpiry(input);
        const [last] = judgeBackups(input).usable;
        const went = new Set(plan.backups.go.map(({ id }) => id));
        if (last === undefined)
          expect({ idle: isIdle(plan), blocked: plan.blocked !== undefined }).toEqual({ idle: true, blocked: true });
        else expect(went.has(last.id)).toBe(false);
        const newest = newestWritten(input);
        const after = reachable(afterwards(input, plan), 'from');
        for (const [place, at] of reachable(input, 'behind')) if (at === newest) expect(after.has(place)).toBe(true);
      }),
      RUNS,
    );
  });

  it('keeps what is held, with what that builds on, and takes what builds on others before them', () => {
    fc.assert(
      fc.property(retentionStory, (input) => {
        const plan = planExpiry(input);
        const order = plan.backups.go.map(({ id }) => id);
        for (const hold of input.holds) if (isHeld(hold, input.now)) expect(order).not.toContain(hold.backup);
        for (const [index, { facts }] of plan.backups.go.entries()) {
          if (facts.parent !== undefined) expect(order.slice(0, index)).not.toContain(facts.parent);
        }
        for (const { backup } of plan.backups.stay) expect(order).not.toContain(backup.facts.parent ?? '');
      }),
      RUNS,
    );
  });

  it('says of each backup and each segment once whether it goes, and why it stays', () => {
    fc.assert(
      fc.property(retentionStory, ({ ...input }) => {
        const { backups, wal } = planExpiry(input);
        const ids = [...backups.go.map(({ id }) => id), ...backups.stay.map(({ backup }) => backup.id)];
        expect(ids.sort()).toEqual(input.backups.map(({ id }) => id).sort());
        for (const { reasons } of backups.stay) expect(reasons).not.toEqual([]);
        const told = [...segmentsOf(wal.go), ...wal.stay.flatMap((run) => [...segmentsOf([run])])];
        expect(told.sort()).toEqual([...segmentsOf(input.ranges)].sort());
      }),
      RUNS,
    );
  });

  it('has nothing more to do when it is done', () => {
    fc.assert(
      fc.property(retentionStory, (input) => {
        const after = afterwards(input, planExpiry(input));
        const again = planExpiry(after);
        expect({ idle: isIdle(again), backups: again.backups.go, wal: again.wal.go }).toMatchObject({ idle: true });
        expect(again.expired).toEqual(after.expired);
      }),
      RUNS,
    );
  });

  it('takes on a later day what it says today that it will take then, whether it ran in between or not', () => {
    fc.assert(
      fc.property(retentionStory, days, (input, later) => {
        const simulated = afterwards(laterBy(input, later), planExpiry(laterBy(input, later)));
        const today = afterwards(input, planExpiry(input));
        const then = afterwards(laterBy(today, later), planExpiry(laterBy(today, later)));
        expect(then.backups.map(({ id }) => id)).toEqual(simulated.backups.map(({ id }) => id));
        const [left, promised] = [segmentsOf(then.ranges), segmentsOf(simulated.ranges)];
        expect([...left].filter((place) => !promised.has(place))).toEqual([]);
      }),
      RUNS,
    );
  });

  it('makes no holes: what it takes is missing nowhere', () => {
    fc.assert(
      fc.property(retentionStory, days, (input, later) => {
        const today = afterwards(input, planExpiry(input));
        const then = afterwards(laterBy(today, later), planExpiry(laterBy(today, later)));
        const holes = (one: ExpiryInput) => segmentsOf(findGaps(archiveOf(one, one.backups)));
        const before = holes(input);
        for (const place of [...holes(today), ...holes(then)]) expect(before.has(place)).toBe(true);
      }),
      RUNS,
    );
  });
});
