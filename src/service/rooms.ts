import { toWaldenError, WaldenError } from '../errors.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { ServiceDeps } from './deps.ts';
import type { JobRunner } from './jobs.ts';

/** What the routes work with. */
export interface ServiceRooms {
  readonly deps: ServiceDeps;
  readonly startedAt: Date;
  readonly jobs: JobRunner;
  readonly clusters: ReadonlyMap<string, ClusterRoom>;
  /** While the catalog knows less than the repositories hold: the rebuild that was begun at the start. */
  readonly rebuild: CatalogRebuild | undefined;
}

export interface CatalogRebuild {
  readonly job: string;
  /** Resolves however it ended. */
  readonly ended: Promise<void>;
  readonly isRunning: boolean;
}

/** What the catalog does not know must not look like what does not exist. @throws CATALOG_INCOMPLETE */
export function assertCatalogWhole({ rebuild }: ServiceRooms): void {
  if (rebuild === undefined) return;
  const { job, isRunning } = rebuild;
  if (isRunning) {
    const fact = 'the catalog is being rebuilt from the repositories';
    throw new WaldenError('CATALOG_INCOMPLETE', fact, { details: { job } });
  }
  throw new WaldenError('CATALOG_INCOMPLETE', 'the catalog was lost, and could not be rebuilt from the repositories', {
    hint: `see why with: walden job show ${job}; then run: walden catalog rebuild; --repository NAME reads one without it`,
    details: { job },
  });
}

/** @throws NOT_FOUND naming the clusters there are. */
export function clusterRoom(rooms: ServiceRooms, name: string): ClusterRoom {
  const room = rooms.clusters.get(name);
  if (room !== undefined) return room;
  throw new WaldenError('NOT_FOUND', `there is no cluster ${JSON.stringify(name)}`, {
    hint: `the configuration has: ${[...rooms.clusters.keys()].join(', ')}`,
  });
}

/** For what waits rather than fails. @throws the reason of the signal; CATALOG_INCOMPLETE when the rebuild failed */
export async function rebuildEnded(rooms: ServiceRooms, signal: AbortSignal): Promise<void> {
  const { rebuild } = rooms;
  if (rebuild === undefined) return;
  signal.throwIfAborted();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(toWaldenError(signal.reason));
    });
  });
  await Promise.race([rebuild.ended, aborted]);
  assertCatalogWhole(rooms);
}
