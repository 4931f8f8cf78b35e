import type { JobKind } from '../../../catalog/catalog.ts';
import type { ScheduleConfig } from '../../config/config.ts';
import { errorToDocument } from '../../errors.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { JobView } from '../jobs.ts';
import type { ServiceRooms } from '../rooms.ts';
import { startBackup } from '../start-backup.ts';
import { startExpiry } from '../expire-cluster.ts';
import { startDrill } from '../start-drill.ts';
import { startVerify } from '../start-verify.ts';

export interface SchedulableJob {
  /** One of a kind runs for a cluster at a time: others wait. */
  readonly kind: JobKind;
  /** Starts it. What keeps it from its work is to end the job, not to be thrown: then it can be tried again. */
  readonly start: (rooms: ServiceRooms, room: ClusterRoom, schedule: ScheduleConfig) => Promise<JobView>;
}

/** What `job = "…"` of a schedule may name. */
export const SCHEDULABLE_JOBS: Readonly<Record<ScheduleConfig['job'], SchedulableJob>> = {
  backup: {
    kind: 'backup',
    start: (rooms, room, { name }) => startBackup(rooms, room, { label: name }),
  },
  'incremental-backup': {
    kind: 'backup',
    start: (rooms, room, { name }) =>
      startBackup(rooms, room, {
        label: name,
        parent: 'newest',
        becameFull: async (why) => {
          await rooms.events.record({
            kind: 'backup-became-full',
            level: 'warning',
            cluster: room.config.name,
            subject: name,
            message: `schedule ${name} takes a full backup of ${room.config.name} instead of an incremental one: ${why.message}`,
            facts: { schedule: name, error: errorToDocument(why) },
          });
        },
      }),
  },
  expire: { kind: 'expire', start: (rooms, room) => startExpiry(rooms, room.config.name) },
  verify: {
    kind: 'verify',
    start: (rooms, room, { budgetBytes }) =>
      startVerify(rooms, room, budgetBytes === undefined ? {} : { bytes: budgetBytes }),
  },
  drill: { kind: 'drill', start: (rooms, room) => startDrill(rooms, room, {}) },
};
