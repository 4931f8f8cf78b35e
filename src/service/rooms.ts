import { isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import type { Repository } from '../repository/repository.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { ServiceDeps } from './deps.ts';
import type { EventLog } from './events/event-log.ts';
import type { JobRunner } from './jobs.ts';
import type { Unread } from './rebuild-lost-catalog.ts';

/** What the routes work with. */
export interface ServiceRooms {
  readonly deps: ServiceDeps;
  readonly startedAt: Date;
  readonly jobs: JobRunner;
  readonly events: EventLog;
  readonly clusters: ReadonlyMap<string, ClusterRoom>;
  /** While the catalog knows less than the repositories hold: the rebuild that was begun at the start. */
  readonly rebuild: CatalogRebuild | undefined;
}

export interface CatalogRebuild {
  readonly job: string;
  /** What the catalog does not know yet. */
  readonly unread: Unread;
  /** Resolves when something was read, or it has ended. */
  readonly begun: Promise<void>;
  /** Resolves however it ended. */
  readonly ended: Promise<void>;
  readonly isRunning: boolean;
}

/** What the catalog does not know must not look like what does not exist. @throws CATALOG_INCOMPLETE */
export function assertCatalogWhole({ rebuild }: ServiceRooms): void {
  if (rebuild !== undefined) throw incomplete(rebuild);
}

/** `refusal`: what the repositories that are known say, and others might not. */
function incomplete({ job, isRunning, unread }: CatalogRebuild, refusal?: WaldenError): WaldenError {
  const away = [...unread].flatMap(([name, error]) => (error === undefined ? [] : [`${name} (${error.message})`]));
  const said = refusal === undefined ? '' : `${refusal.message}; but `;
  const options = { details: { job }, cause: refusal };
  if (!isRunning) {
    const fact = `${said}the catalog was lost, and could not be rebuilt from the repositories`;
    const hint = `see why with: walden job show ${job}; then run: walden catalog rebuild; --repository NAME reads one without it`;
    return new WaldenError('CATALOG_INCOMPLETE', fact, { hint, ...options });
  }
  if (away.length === 0) {
    return new WaldenError('CATALOG_INCOMPLETE', `${said}the catalog is being rebuilt from the repositories`, options);
  }
  const fact = `${said}the catalog was lost, and it is not known what is in repository ${away.join(', ')}`;
  const hint = 'it is read as soon as it is there; walden plan and walden restore use the others meanwhile';
  return new WaldenError('CATALOG_INCOMPLETE', fact, { hint, ...options });
}

/** With these, a repository that was not read yet might have had another answer. */
const NEEDS_ALL = ['NOT_FOUND', 'TARGET_UNREACHABLE', 'ARCHIVE_GAP', 'BACKUP_INVALID'] as const;

/**
 * An answer from those repositories of which the catalog knows all, as long as it is no refusal: that needs the word of
 * every one. `work` is given them, and what is to be said of the others.
 * @throws CATALOG_INCOMPLETE, and what `work` throws
 */
export async function byKnown<Result>(
  { rebuild }: ServiceRooms,
  repositories: readonly Repository[],
  work: (known: readonly Repository[], notes: readonly string[]) => Promise<Result>,
): Promise<Result> {
  if (rebuild === undefined) return await work(repositories, []);
  // As it is now: what is read while `work` goes on was not among what it could use.
  const unread = new Set(rebuild.unread.keys());
  const known = repositories.filter(({ name }) => !unread.has(name));
  if (known.length === 0) throw incomplete(rebuild);
  const notes = repositories
    .filter(({ name }) => unread.has(name))
    .map(({ name }) => `repository ${name} was not read since the catalog was lost: it may hold more`);
  try {
    return await work(known, notes);
  } catch (error) {
    if (notes.length > 0 && isWaldenError(error, ...NEEDS_ALL)) throw incomplete(rebuild, error);
    throw error;
  }
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
  if (rooms.rebuild === undefined) return;
  await unlessAborted(rooms.rebuild.ended, signal);
  assertCatalogWhole(rooms);
}

/** The same, for what can do with the repositories that are there. @throws the reason of the signal */
export async function rebuildBegun({ rebuild }: ServiceRooms, signal: AbortSignal): Promise<void> {
  if (rebuild !== undefined) await unlessAborted(rebuild.begun, signal);
}

async function unlessAborted(awaited: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(toWaldenError(signal.reason));
    });
  });
  await Promise.race([awaited, aborted]);
}
