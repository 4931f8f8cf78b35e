import { WaldenError } from '../errors.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { ServiceDeps } from './deps.ts';
import type { JobRunner } from './jobs.ts';

/** What the routes work with. */
export interface ServiceRooms {
  readonly deps: ServiceDeps;
  readonly startedAt: Date;
  readonly jobs: JobRunner;
  readonly clusters: ReadonlyMap<string, ClusterRoom>;
}

/** @throws NOT_FOUND naming the clusters there are. */
export function clusterRoom(rooms: ServiceRooms, name: string): ClusterRoom {
  const room = rooms.clusters.get(name);
  if (room !== undefined) return room;
  throw new WaldenError('NOT_FOUND', `there is no cluster ${JSON.stringify(name)}`, {
    hint: `the configuration has: ${[...rooms.clusters.keys()].join(', ')}`,
  });
}
