import { createHash } from 'node:crypto';
import type { JobKind, ScheduleState } from '../../../catalog/catalog.ts';
import type { ScheduleConfig } from '../../config/config.ts';
import { cronTimes } from '../../config/cron.ts';
import { errorToDocument, toWaldenError } from '../../errors.ts';
import { describeMicros, micros, microsFromDate } from '../../postgres/timestamp.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';
import { planRun, type RunDecision, type RunRules, type RunState } from './plan-run.ts';
import { repeatAt } from './repeat.ts';
import { SCHEDULABLE_JOBS } from './schedulable-jobs.ts';

/** How long it rests at most: a clock that was set, or a host that slept, is noticed then. */
const LONGEST_REST_MS = 30_000;
/** What fails is given so long to come back. */
const TROUBLE_REST_MS = 10_000;

/** A run that is to come. */
export interface UpcomingRun {
  readonly schedule: ScheduleConfig;
  readonly kind: JobKind;
  /** Undefined: never again. */
  readonly at: Date | undefined;
  /** It is due, and waits for another job, or to be tried again. */
  readonly isWaiting: boolean;
}

interface Entry {
  readonly schedule: ScheduleConfig;
  readonly rules: RunRules;
  /** What tells this schedule from another one of the same name, earlier. */
  readonly definition: string;
  state: ScheduleState;
  /** The planned time of a run that is due and cannot begin yet. */
  waiting: number | undefined;
}

/**
 * Begins the scheduled jobs. How far each schedule has come is kept in the catalog, so that what was planned while the
 * service was down is made up for once; where that was lost, the next planned time counts.
 */
export class Scheduler {
  readonly #rooms: ServiceRooms;
  readonly #stop = new AbortController();
  #entries: readonly Entry[] = [];
  #rest = new AbortController();
  #running: Promise<void> | undefined;

  constructor(rooms: ServiceRooms) {
    this.#rooms = rooms;
  }

  /** @throws as the catalog */
  async start(): Promise<void> {
    const { catalog, clock, config, instance } = this.#rooms.deps;
    const known = new Map((await catalog.schedules()).map((state) => [state.name, state]));
    const entries: Entry[] = [];
    for (const schedule of config.schedules) {
      const { name, cluster, job, cron, timeZone, jitterSeconds, windowSeconds } = schedule;
      const definition = JSON.stringify([cluster, job, cron, timeZone]);
      let state = known.get(name);
      if (state?.definition !== definition) {
        const settled = microsFromDate(clock.now());
        state = { name, definition, settled, job: undefined, attempts: 0 };
        await this.#note(state);
      }
      const times = cronTimes(cron, timeZone);
      const rules = {
        next: (after: number) => times.next(new Date(after))?.getTime(),
        offset: Math.floor(fractionOf(`${instance} ${name}`) * jitterSeconds * 1000),
        window: windowSeconds * 1000,
      };
      entries.push({ schedule, rules, definition, state, waiting: undefined });
    }
    this.#entries = entries;
    if (entries.length > 0) this.#running = this.#run();
  }

  /** Something that was in the way may have ended. */
  wake(): void {
    this.#rest.abort();
  }

  /** Begins nothing any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#rest.abort();
    await this.#running;
  }

  /** In the order in which they come. */
  upcoming(): readonly UpcomingRun[] {
    const now = this.#rooms.deps.clock.now().getTime();
    return this.#entries
      .map(({ schedule, rules, waiting }) => {
        const planned = waiting ?? rules.next(now - rules.offset);
        return {
          schedule,
          kind: SCHEDULABLE_JOBS[schedule.job].kind,
          at: planned === undefined ? undefined : new Date(planned + rules.offset),
          isWaiting: waiting !== undefined,
        };
      })
      .sort((a, b) => (a.at?.getTime() ?? Infinity) - (b.at?.getTime() ?? Infinity));
  }

  async #run(): Promise<void> {
    const { clock } = this.#rooms.deps;
    while (!this.#isStopped()) {
      const rest = new AbortController();
      this.#rest = rest;
      const until = await this.#settleAll();
      const restMs = Math.max(0, Math.min(LONGEST_REST_MS, until - clock.now().getTime()));
      if (this.#isStopped()) return;
      // Woken early: it looks again.
      await clock.sleep(restMs, rest.signal).catch(() => undefined);
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Does what is due. @returns when the next thing will be, in milliseconds since 1970 */
  async #settleAll(): Promise<number> {
    let until = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries) {
      try {
        until = Math.min(until, await this.#settle(entry));
      } catch (thrown) {
        // The others must not wait for this one.
        const error = toWaldenError(thrown);
        const { log, clock } = this.#rooms.deps;
        log.error({ error: errorToDocument(error) }, `schedule ${entry.schedule.name} cannot go on: ${error.message}`);
        until = Math.min(until, clock.now().getTime() + TROUBLE_REST_MS);
      }
    }
    return until;
  }

  /** Does what is due of one. @returns when its next thing will be; Infinity: never, or it is to stop */
  async #settle(entry: Entry): Promise<number> {
    while (!this.#isStopped()) {
      const now = this.#rooms.deps.clock.now().getTime();
      const decision = planRun(entry.rules, await this.#stateOf(entry), now);
      entry.waiting = decision.action === 'wait' ? decision.planned : undefined;
      if (decision.action === 'wait') return decision.until ?? Number.POSITIVE_INFINITY;
      await this.#carryOut(entry, decision);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** A catalog that cannot take it, on a full disk say, keeps nothing from running: only the next start knows less then. */
  async #note(state: ScheduleState): Promise<void> {
    const { catalog, log } = this.#rooms.deps;
    try {
      await catalog.recordSchedule(state);
    } catch (thrown) {
      const error = toWaldenError(thrown);
      log.error(
        { error: errorToDocument(error) },
        `unable to note how far schedule ${state.name} is: ${error.message}`,
      );
    }
  }

  async #stateOf({ schedule, state }: Entry): Promise<RunState> {
    const { deps, jobs } = this.#rooms;
    const last = state.job === undefined ? undefined : await deps.catalog.job(state.job);
    return {
      settled: Math.floor(state.settled / 1000),
      repeatAt: repeatAt(state, last),
      isBusy: !jobs.isFree(SCHEDULABLE_JOBS[schedule.job].kind, schedule.cluster),
    };
  }

  async #carryOut(entry: Entry, decision: Exclude<RunDecision, { readonly action: 'wait' }>): Promise<void> {
    const { schedule, definition, state } = entry;
    const { events } = this.#rooms;
    const settled = micros(decision.planned * 1000);
    let next: ScheduleState = { name: schedule.name, definition, settled, job: undefined, attempts: 0 };
    if (decision.action === 'begin') {
      const attempts = settled === state.settled ? state.attempts + 1 : 1;
      next = { ...next, job: await this.#begin(schedule, decision.planned, attempts), attempts };
    }
    // First of all here: what was begun must not be begun again because that could not be noted.
    entry.state = next;
    await this.#note(next);
    if (decision.action === 'begin') return;
    const { name, job, cluster, windowSeconds } = schedule;
    const planned = describeMicros(settled);
    await events.record({
      ...{ kind: 'schedule-missed', level: 'error', cluster, subject: name },
      message: `schedule ${name} left out the ${job} of ${cluster} planned for ${planned}: it could not begin within ${windowSeconds} s`,
      facts: { schedule: name, job, planned, windowSeconds },
    });
  }

  /** @returns the id of the job */
  async #begin(schedule: ScheduleConfig, planned: number, attempt: number): Promise<string> {
    const { deps } = this.#rooms;
    const room = clusterRoom(this.#rooms, schedule.cluster);
    const { record } = await SCHEDULABLE_JOBS[schedule.job].start(this.#rooms, room, schedule);
    const facts = { schedule: schedule.name, job: record.id, planned: new Date(planned).toISOString(), attempt };
    deps.log.info(facts, `schedule ${schedule.name} begins the ${schedule.job} of ${schedule.cluster}`);
    return record.id;
  }
}

/** From 0 to below 1, the same for the same text. */
function fractionOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
}
