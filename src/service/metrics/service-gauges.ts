import type { ServiceRooms } from '../rooms.ts';
import type { Scheduler } from '../schedule/scheduler.ts';
import type { GaugeRule } from './metric.ts';

export interface MeasuredService {
  readonly rooms: ServiceRooms;
  readonly scheduler: Scheduler;
}

export const SERVICE_GAUGES: readonly GaugeRule<MeasuredService>[] = [
  {
    name: 'walden_build_info',
    help: 'Always 1; the version of Walden is the label',
    labels: ['version'],
    read: ({ rooms }) => [[rooms.deps.version, 1]],
  },
  {
    name: 'walden_catalog_incomplete',
    help: 'Whether a catalog that was lost is not rebuilt yet (1): other figures are not all that there is then',
    labels: [],
    read: ({ rooms }) => [[Number(rooms.rebuild !== undefined)]],
  },
  {
    name: 'walden_repository_up',
    help: 'Whether the last call to the repository that says something of it succeeded (1) or not (0)',
    labels: ['repository'],
    *read({ rooms }) {
      for (const { name, health } of rooms.deps.repositories.values()) {
        yield [name, Number(health?.lastFailure === undefined)];
      }
    },
  },
  {
    name: 'walden_jobs_running',
    help: 'Jobs that run now',
    labels: ['kind'],
    *read({ rooms }) {
      for (const [kind, number] of rooms.jobs.runningByKind()) yield [kind, number];
    },
  },
  {
    name: 'walden_schedule_next_timestamp_seconds',
    help: 'When the schedule begins its job the next time; in the past while that waits for another job',
    labels: ['schedule', 'cluster', 'job'],
    *read({ scheduler }) {
      for (const { schedule, at } of scheduler.upcoming()) {
        if (at !== undefined) yield [schedule.name, schedule.cluster, schedule.job, at.getTime() / 1000];
      }
    },
  },
];
