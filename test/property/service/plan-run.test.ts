import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronTimes } from '../../../src/config/cron.ts';
import { lastUpTo, planRun, type RunRules } from '../../../src/service/schedule/plan-run.ts';

/** Times at `phase`, `phase + period`, …, without end. */
function every(period: number, phase: number): RunRules['next'] {
  return (after) => (Math.floor((after - phase) / period) + 1) * period + phase;
}

interface Told {
  readonly begun: { readonly planned: number; readonly at: number }[];
  readonly missed: number[];
}

/** What a service does that looks at `now`: carries out what is due until there is nothing more. @returns what is settled */
function look(rules: RunRules, settled: number, now: number, isBusy: boolean, told: Told): number {
  let state = { settled, repeatAt: undefined, isBusy };
  for (let decisions = 0; ; decisions += 1) {
    expect(decisions).toBeLessThan(3);
    const decision = planRun(rules, state, now);
    if (decision.action === 'wait') {
      expect(decision.until ?? Infinity).toBeGreaterThan(now);
      return state.settled;
    }
    expect(decision.planned).toBeGreaterThan(state.settled);
    if (decision.action === 'miss') told.missed.push(decision.planned);
    else told.begun.push({ planned: decision.planned, at: now });
    // What was begun is in the way of the next one.
    state = { settled: decision.planned, repeatAt: undefined, isBusy: isBusy || decision.action === 'begin' };
  }
}

const rulesArbitrary = fc.record({
  period: fc.integer({ min: 1, max: 100 }),
  phase: fc.integer({ min: 0, max: 99 }),
  offset: fc.integer({ min: 0, max: 150 }),
  window: fc.integer({ min: 0, max: 300 }),
});
/** Time passes, with a service or without one, or with one that another job keeps busy. */
const stepsArbitrary = fc.array(fc.record({ pass: fc.integer({ min: 0, max: 500 }), isBusy: fc.boolean() }), {
  maxLength: 60,
});

describe('planning the runs of a schedule', () => {
  it('begins each planned time once at most, never too early, too late or over another job', () => {
    fc.assert(
      fc.property(rulesArbitrary, stepsArbitrary, ({ period, phase, offset, window }, steps) => {
        const rules = { next: every(period, phase), offset, window };
        const told: Told = { begun: [], missed: [] };
        let [now, settled] = [10_000, 10_000];
        for (const { pass, isBusy } of steps) {
          now += pass;
          const before = told.begun.length;
          settled = look(rules, settled, now, isBusy, told);
          if (isBusy) expect(told.begun).toHaveLength(before);
        }
        const planned = told.begun.map((run) => run.planned);
        expect(new Set(planned).size).toBe(planned.length);
        for (const run of told.begun) {
          expect(run.at - run.planned - offset).toBeGreaterThanOrEqual(0);
          expect(run.at - run.planned - offset).toBeLessThanOrEqual(window);
        }
      }),
    );
  });

  it('leaves nothing that has come open: it is begun, covered by a later one, or told as missed', () => {
    fc.assert(
      fc.property(rulesArbitrary, stepsArbitrary, ({ period, phase, offset, window }, steps) => {
        const rules = { next: every(period, phase), offset, window };
        const told: Told = { begun: [], missed: [] };
        let [now, settled] = [10_000, 10_000];
        for (const { pass } of steps) {
          now += pass;
          settled = look(rules, settled, now, false, told);
          expect(rules.next(settled)).toBeGreaterThan(now - offset);
        }
        // What one that was begun covers could have begun itself when that one did; all else was told.
        const ends = [...told.missed, ...told.begun.map((run) => run.planned)];
        for (let time = rules.next(10_000) ?? 0; time <= now - offset; time = rules.next(time) ?? 0) {
          const covering = told.begun.find((run) => run.planned >= time && run.at - time - offset <= window);
          const isMissed = told.missed.some((end) => end >= time);
          expect(ends.some((end) => end >= time) && (covering !== undefined || isMissed)).toBe(true);
        }
      }),
    );
  });

  it('makes up for a time of no service once', () => {
    const rules = { next: every(100, 0), offset: 0, window: 30 };
    const told: Told = { begun: [], missed: [] };
    expect(look(rules, 1000, 1520, false, told)).toBe(1500);
    expect(told).toEqual({ begun: [{ planned: 1500, at: 1520 }], missed: [1400] });
    expect(look(rules, 1500, 1850, false, told)).toBe(1800);
    expect(told.missed).toEqual([1400, 1800]);
  });

  it('repeats what is to be repeated inside the window only, and tells it as missed behind it', () => {
    const rules = { next: every(1000, 0), offset: 5, window: 100 };
    const state = { settled: 1000, repeatAt: 1060, isBusy: false };
    expect(planRun(rules, state, 1050)).toEqual({ action: 'wait', until: 1060, planned: 1000 });
    expect(planRun(rules, state, 1060)).toEqual({ action: 'begin', planned: 1000 });
    expect(planRun(rules, { ...state, isBusy: true }, 1060)).toEqual({ action: 'wait', until: 1106, planned: 1000 });
    expect(planRun(rules, state, 1106)).toEqual({ action: 'miss', planned: 1000 });
    expect(planRun(rules, { ...state, repeatAt: 1200 }, 1060)).toEqual({
      action: 'wait',
      until: 2005,
      planned: undefined,
    });
  });

  it('is not held up by a moment that a wrong clock has left', () => {
    const rules = { next: every(1000, 0), offset: 0, window: 100 };
    const state = { settled: 10_000_000_000, repeatAt: undefined, isBusy: false };
    expect(planRun(rules, state, 1500)).toEqual({ action: 'wait', until: 2000, planned: undefined });
  });

  it('finds the last time of a span as counting does', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.nat(49),
        fc.nat(1000),
        fc.nat(1000),
        (period, phase, since, span) => {
          const next = every(period, phase);
          let last: number | undefined;
          for (let time = next(since) ?? 0; time <= since + span; time = next(time) ?? 0) last = time;
          expect(lastUpTo(next, since, since + span)).toBe(last);
        },
      ),
    );
  });

  it('runs a daily schedule once on each day of the calendar, those included on which clocks change', () => {
    const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC'];
    const arbitrary = fc.record({ zone: fc.constantFrom(...zones), hour: fc.nat(23), minute: fc.nat(59) });
    fc.assert(
      fc.property(arbitrary, ({ zone, hour, minute }) => {
        const times = cronTimes(`${minute} ${hour} * * *`, zone);
        const rules = { next: (after: number) => times.next(new Date(after))?.getTime(), offset: 0, window: 60_000 };
        const dayOf = (time: number): string => new Date(time).toLocaleDateString('sv', { timeZone: zone });
        for (const change of ['03-05', '03-26', '04-02', '10-01', '10-22', '10-29']) {
          const told: Told = { begun: [], missed: [] };
          let settled = Date.parse(`2026-${change}T12:00:00Z`);
          for (let day = 0; day < 5; day += 1) settled = look(rules, settled, rules.next(settled)!, false, told);
          expect(told.missed).toEqual([]);
          const days = told.begun.map(({ planned }) => dayOf(planned));
          const first = Date.parse(`${days[0]!}T12:00:00Z`);
          const calendar = days.map((_day, index) => new Date(first + index * 86_400_000).toISOString().slice(0, 10));
          expect(days).toEqual(calendar);
        }
      }),
      { numRuns: 8 },
    );
  });
});
