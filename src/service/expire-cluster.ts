import type { BackupId, Catalog, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { isActive } from '../backup/active-backups.ts';
import { retentionOf } from '../config/config.ts';
import { toWaldenError, WaldenError, withContext } from '../errors.ts';
import { formatMicros, type Micros, microsFromDate } from '../postgres/timestamp.ts';
import type { RestoreResult } from '../restore/restore-cluster.ts';
import { parseTargetTime } from '../restore/target-time.ts';
import { secondsBefore } from '../retention/expiry-input.ts';
import { expireRepository, previewExpiry } from '../retention/expire-repository.ts';
import type { RetentionOrder, RetentionPlace } from '../retention/gather-input.ts';
import type { Repository } from '../repository/repository.ts';
import { expiryDocument, skippedDocument } from './answers/expiry.ts';
import type { ClusterRoom } from './cluster-room.ts';
import { BEFORE_NO_EXPIRY } from './job-conflicts.ts';
import type { JobControls, JobView } from './jobs.ts';
import type { ExpiryPlanDocument, ExpiryResultDocument } from './retention-api.ts';
import { assertCatalogWhole, clusterRoom, type ServiceRooms } from './rooms.ts';

/**
 * Starts the job that removes what the configuration does not keep of a cluster.
 * @throws NOT_FOUND, and LOCK_HELD beside what must not run at the same time
 */
export async function startExpiry(rooms: ServiceRooms, cluster: string): Promise<JobView> {
  const room = clusterRoom(rooms, cluster);
  return await rooms.jobs.start('expire', room.config.name, (controls) => {
    assertCatalogWhole(rooms);
    return expireCluster(rooms, room, controls);
  });
}

/** What would be removed now, or at a later moment. Nothing is changed. @throws USAGE, CATALOG_INCOMPLETE, as the stores */
export async function planClusterExpiry(
  rooms: ServiceRooms,
  room: ClusterRoom,
  at: string | undefined,
): Promise<ExpiryPlanDocument> {
  assertCatalogWhole(rooms);
  const now = microsFromDate(rooms.deps.clock.now());
  const target = at === undefined ? undefined : parseTargetTime(at, now);
  if (target !== undefined && target.time < now) {
    throw new WaldenError('USAGE', `${JSON.stringify(at)} is past: only a later day can be simulated`);
  }
  const moment = target?.time ?? now;
  const signal = AbortSignal.timeout(PREVIEW_DEADLINE_MS);
  const repositories = [];
  for (const repository of room.repositories) {
    const { skipped, order, place } = await prepare(rooms, room, repository, {
      now: moment,
      isSimulated: target !== undefined,
    });
    if (order === undefined) repositories.push(skippedDocument(repository.name, skipped));
    else repositories.push(expiryDocument(place, await previewExpiry(place, order, signal)));
  }
  const { name } = room.config;
  return { cluster: name, at: formatMicros(moment), notes: [...(target?.notes ?? [])], repositories };
}

/** So long the WAL behind a backup stays that was restored. */
const RECOVERY_SECONDS = 2 * 86_400;
const RESTORES_LOOKED_AT = 10_000;
/** A listing of a large repository that is far takes minutes. */
const PREVIEW_DEADLINE_MS = 600_000;
const NOTHING_DONE = { backups: [], walFiles: 0, leftovers: 0, refused: [] };

async function expireCluster(
  rooms: ServiceRooms,
  room: ClusterRoom,
  { signal, onProgress }: JobControls,
): Promise<ExpiryResultDocument> {
  const { clock, log } = rooms.deps;
  const { name } = room.config;
  const repositories: ExpiryResultDocument['repositories'] = [];
  const failures: WaldenError[] = [];
  for (const repository of room.repositories) {
    signal.throwIfAborted();
    try {
      const moment = { now: microsFromDate(clock.now()), isSimulated: false };
      const { skipped, order, place } = await prepare(rooms, room, repository, moment);
      if (order === undefined) {
        repositories.push({ ...skippedDocument(repository.name, skipped), done: NOTHING_DONE });
        continue;
      }
      const { done, ...rest } = await expireRepository(place, order, { clock, signal, onProgress });
      const told = {
        ...done,
        backups: [...done.backups],
        refused: done.refused.map(({ until, ...one }) => ({ ...one, until: until ?? null })),
      };
      repositories.push({ ...expiryDocument(place, rest), done: told });
      const { backups, walFiles, leftovers } = done;
      const facts = { cluster: name, repository: repository.name, backups, walFiles, leftovers };
      log.info(facts, `retention removed ${backups.length} backups and ${walFiles} WAL files from ${repository.name}`);
    } catch (error) {
      signal.throwIfAborted();
      // One that is away must not keep the others back.
      failures.push(
        withContext(toWaldenError(error), `unable to expire cluster ${name} in repository ${repository.name}`),
      );
    }
  }
  if (failures[0] !== undefined) throw failures[0];
  return { repositories };
}

interface Prepared {
  readonly skipped: string;
  /** Undefined: nothing of the cluster goes from there. */
  readonly order: Omit<RetentionOrder, 'refused'> | undefined;
  readonly place: RetentionPlace;
}

async function prepare(
  rooms: ServiceRooms,
  room: ClusterRoom,
  repository: Repository,
  moment: Pick<RetentionOrder, 'now' | 'isSimulated'>,
): Promise<Prepared> {
  const { config, catalog, instance } = rooms.deps;
  const cluster = room.config.name;
  const { identity } = await room.context();
  const place = { catalog, repository, cluster, segmentBytes: identity.segmentBytes, instance };
  const section = retentionOf(config, cluster, repository.name);
  const settings = config.repositories.get(repository.name);
  const access = settings?.access ?? 'read-write';
  const skipped =
    access === 'read-write'
      ? 'no section [retention.NAME] covers it: nothing ever expires here'
      : `it is ${access} here: nothing is removed from it`;
  if (section === undefined || access !== 'read-write') return { skipped, order: undefined, place };
  const restored = await restoredLately(catalog, cluster, repository.name, moment.now);
  const lock = settings !== undefined && 'objectLock' in settings ? settings.objectLock : undefined;
  const order = {
    ...{ policy: section.policy, ...moment, lockSeconds: lock && lock.days * 86_400 },
    ...(await wantedElsewhere(room, repository.name)),
    restored,
    assertUndisturbed: () => assertUndisturbed(rooms, cluster, repository.name, restored),
    isActive: (id: BackupId) => isActive(catalog, cluster, id),
  };
  return { skipped, order, place };
}

/**
 * A restore need not wait for an expiry. One that began before what goes was marked may have chosen it: it runs yet, or has
 * ended since the plan was made. Later ones do not choose it. @throws LOCK_HELD
 */
async function assertUndisturbed(
  { deps, jobs }: ServiceRooms,
  cluster: ClusterName,
  repository: RepositoryName,
  known: ReadonlySet<BackupId>,
): Promise<void> {
  const isRunning = jobs.isRunning(BEFORE_NO_EXPIRY, cluster);
  const restored = await restoredLately(deps.catalog, cluster, repository, microsFromDate(deps.clock.now()));
  if (!isRunning && [...restored].every((id) => known.has(id))) return;
  throw new WaldenError('LOCK_HELD', `a restore of cluster ${cluster} has begun meanwhile: nothing was removed`, {
    hint: 'begin the expiry again when it has ended',
  });
}

/** Nobody tells when the recovery of a restored node has ended. */
async function restoredLately(
  catalog: Catalog,
  cluster: ClusterName,
  repository: RepositoryName,
  now: Micros,
): Promise<ReadonlySet<BackupId>> {
  const restored = new Set<BackupId>();
  for (const { kind, finishedAt, result } of await catalog.jobs(RESTORES_LOOKED_AT, cluster)) {
    if (!(kind === 'restore' || kind === 'clone') || finishedAt === undefined) continue;
    if (finishedAt < secondsBefore(now, RECOVERY_SECONDS)) continue;
    const { backup, repository: from } = (result ?? {}) as Partial<Pick<RestoreResult, 'backup' | 'repository'>>;
    if (backup !== undefined && from === repository) restored.add(backup as BackupId);
  }
  return restored;
}

/** What other repositories are to get yet, and what is on its way into this one. */
async function wantedElsewhere(
  { fillers }: ClusterRoom,
  here: RepositoryName,
): Promise<Pick<RetentionOrder, 'awaited' | 'arriving'>> {
  const backups = [];
  const segments = [];
  let arriving: RetentionOrder['arriving'] = [];
  for (const filler of fillers) {
    const work = await filler.work();
    const by = filler.target.name;
    if (by === here) {
      arriving = work.backups;
      continue;
    }
    backups.push(...work.backups.map(({ id }) => ({ id, by })));
    segments.push(...work.segments.map((run) => ({ ...run, by })));
  }
  return { awaited: { backups, segments }, arriving };
}
