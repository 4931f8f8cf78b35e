import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import type { ScheduleConfig } from '../../../src/config/config.ts';
import { WaldenError, type ErrorCode } from '../../../src/errors.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { ClusterName } from '../../../catalog/catalog.ts';
import { clusterName } from '../../../src/repository/names.ts';
import { EventLog } from '../../../src/service/events/event-log.ts';
import { JobRunner } from '../../../src/service/jobs.ts';
import type { ServiceRooms } from '../../../src/service/rooms.ts';
import { Scheduler } from '../../../src/service/schedule/scheduler.ts';
import { until } from '../../support/until.ts';

const MAIN = clusterName('main');
const DAILY: ScheduleConfig = {
  ...{ name: 'daily', cluster: MAIN, job: 'backup', cron: '0 12 * * *', timeZone: 'UTC' },
  ...{ jitterSeconds: 0, windowSeconds: 3600, budgetBytes: undefined },
};

/** Time passes when it is told to, and ends the rest of whoever rests no longer than that. */
class HeldClock implements Clock {
  #now = Date.parse('2026-11-22T11:00:00Z');
  #resting: { readonly until: number; readonly end: () => void }[] = [];

  now(): Date {
    return new Date(this.#now);
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#resting.push({ until: this.#now + milliseconds, end: resolve });
      signal?.addEventListener('abort', () => {
        resolve();
      });
      if (signal?.aborted === true || milliseconds <= 0) resolve();
    });
  }

  set(moment: string): void {
    this.#now = Date.parse(moment);
    for (const { until, end } of this.#resting) if (until <= this.#now) end();
    this.#resting = this.#resting.filter(({ until }) => until > this.#now);
  }
}

describe('the scheduler', () => {
  let catalog: SqliteCatalog;
  let clock: HeldClock;
  let scheduler: Scheduler | undefined;
  /** What each backup ends with, at once. */
  let code: ErrorCode;

  beforeEach(() => {
    catalog = SqliteCatalog.open(':memory:');
    clock = new HeldClock();
    code = 'STORAGE_DENIED';
  });
  afterEach(async () => {
    await scheduler?.stop();
    await catalog.close();
  });

  /** A service whose backups never get further than the question whether they may be stored. */
  async function start(...schedules: readonly ScheduleConfig[]): Promise<void> {
    await scheduler?.stop();
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const ended = (): Promise<void> => Promise.resolve(scheduler?.wake());
    const jobs = new JobRunner({ catalog, clock, note: () => undefined, ended });
    const events = new EventLog({ catalog, clock, log });
    const assertWritable = (): Promise<void> => Promise.reject(new WaldenError(code, 'no'));
    const rooms = {
      deps: { catalog, clock, log, instance: 'here', config: { schedules: schedules.toReversed() } },
      ...{ jobs, events, clusters: new Map([['main', { config: { name: MAIN }, assertWritable }]]) },
    } as unknown as ServiceRooms;
    scheduler = new Scheduler(rooms);
    await scheduler.start();
  }

  async function endedJobs(number: number): Promise<void> {
    const what = `${number} jobs to have ended`;
    await until(
      async () => {
        const jobs = await catalog.jobs(100);
        return jobs.length === number && jobs.every(({ state }) => state !== 'running');
      },
      { what },
    );
  }

  async function missed(number: number): Promise<void> {
    await until(async () => (await catalog.events({ limit: 100 })).length === number, {
      what: `${number} missed runs`,
    });
  }

  it('begins at the planned time, and one that is new not for times before it', async () => {
    await start(DAILY);
    expect(scheduler?.upcoming()).toMatchObject([{ at: new Date('2026-11-22T12:00:00Z'), isWaiting: false }]);
    clock.set('2026-11-22T11:59:59Z');
    clock.set('2026-11-22T12:00:00Z');
    await endedJobs(1);
    expect(await catalog.schedules()).toMatchObject([{ name: 'daily', attempts: 1 }]);
    await start({ ...DAILY, cron: '30 11 * * *' });
    expect(scheduler?.upcoming()).toMatchObject([{ at: new Date('2026-11-23T11:30:00Z') }]);
    await endedJobs(1);
    expect(await catalog.events({ limit: 9 })).toEqual([]);
  });

  it('starts, and begins each run once, while the catalog cannot note how far it is', async () => {
    let attempts = 0;
    catalog.recordSchedule = () => {
      attempts += 1;
      return Promise.reject(new WaldenError('STORAGE_FULL', 'the disk of the catalog is full'));
    };
    await start(DAILY);
    clock.set('2026-11-22T12:00:00Z');
    await endedJobs(1);
    await until(() => attempts === 2, { what: 'the run to be noted' });
    clock.set('2026-11-22T12:01:00Z');
    await until(() => scheduler?.upcoming()[0]?.at?.toISOString() === '2026-11-23T12:00:00.000Z', {
      what: 'the next day to be next',
    });
    clock.set('2026-11-22T12:02:00Z');
    expect(await catalog.jobs(100)).toHaveLength(1);
  });

  it('does not hold the others up for a schedule that cannot begin', async () => {
    await start(DAILY, { ...DAILY, name: 'impossible', cluster: 'gone' as ClusterName });
    clock.set('2026-11-22T12:00:00Z');
    await endedJobs(1);
  });

  it('makes up for what a service that was down has missed, inside the window only', async () => {
    await start(DAILY);
    await scheduler?.stop();
    clock.set('2026-11-24T12:30:00Z');
    await start(DAILY);
    await endedJobs(1);
    await missed(1);
    await scheduler?.stop();
    clock.set('2026-11-25T13:00:01Z');
    await start(DAILY);
    await missed(2);
    const [first, second] = await catalog.events({ limit: 9 });
    expect(first).toMatchObject({ kind: 'schedule-missed', level: 'error', subject: 'daily', cluster: MAIN });
    expect(first?.message).toContain('the backup of main planned for 2026-11-23 12:00:00 UTC');
    expect(second?.message).toContain('planned for 2026-11-25 12:00:00 UTC');
    await endedJobs(1);
  });

  it('tries three times what may pass, and once what may not', async () => {
    code = 'STORAGE_UNAVAILABLE';
    await start(DAILY);
    clock.set('2026-11-22T12:00:00Z');
    await endedJobs(1);
    await until(() => scheduler?.upcoming()[0]?.isWaiting, { what: 'it to wait' });
    clock.set('2026-11-22T12:01:00Z');
    await endedJobs(2);
    await until(() => scheduler?.upcoming()[0]?.isWaiting, { what: 'it to wait again' });
    clock.set('2026-11-22T12:06:00Z');
    await endedJobs(3);
    await until(() => scheduler?.upcoming()[0]?.isWaiting === false, { what: 'it to give up' });
    code = 'STORAGE_DENIED';
    clock.set('2026-11-23T12:00:00Z');
    await endedJobs(4);
    await until(() => scheduler?.upcoming()[0]?.isWaiting === false, { what: 'it to give up' });
    expect(await catalog.events({ limit: 9 })).toEqual([]);
  });

  it('begins with the next time where the catalog was lost', async () => {
    await start(DAILY);
    clock.set('2026-11-22T12:00:00Z');
    await endedJobs(1);
    await scheduler?.stop();
    catalog = SqliteCatalog.open(':memory:');
    clock.set('2026-11-22T12:10:00Z');
    await start(DAILY);
    expect(scheduler?.upcoming()).toMatchObject([{ at: new Date('2026-11-23T12:00:00Z') }]);
    expect(await catalog.jobs(9)).toEqual([]);
  });
});
