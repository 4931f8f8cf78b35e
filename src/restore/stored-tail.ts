import { open, rename, rm } from 'node:fs/promises';
import { WaldenError, isWaldenError } from '../errors.ts';
import type { Catalog, ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import { parseWalName, segmentNumberOfName } from '../postgres/wal-name.ts';
import { isAway, type Repository } from '../repository/repository.ts';
import { runOnObject } from '../repository/run-on-object.ts';
import { readWalObjectHeader } from '../repository/wal-object.ts';
import type { FilledFile } from '../wal/receive/read-spooled-task.ts';
import type { SpooledTail } from '../wal/receive/spooled-tail.ts';
import type { TailSegment } from '../wal/tail.ts';
import { furthestStored, listUnfinished, type UnfinishedObject } from '../wal/unfinished.ts';
import { verifyTask } from '../wal/verify-task.ts';
import { searchSegmentTask } from './search-segment-task.ts';

export interface StoredTailPlace {
  readonly catalog: Catalog;
  readonly pool: WorkerPool;
  readonly repository: Repository;
  readonly cluster: ClusterName;
}

/** Removed since it was listed, or not what it should be: what is before it can be used all the same. */
export const UNUSABLE = [
  'STORAGE_OBJECT_MISSING',
  'STORAGE_SIZE',
  'CHECKSUM_MISMATCH',
  'FORMAT_INVALID',
  'SERVER_MISMATCH',
] as const;

/** The unfinished segments of a repository that its archive does not hold by now; each is read and checked. */
export async function readStoredTail(
  place: StoredTailPlace,
  xid: number | undefined,
  signal: AbortSignal | undefined,
): Promise<SpooledTail> {
  const { catalog, repository, cluster } = place;
  const identity = await catalog.clusterIdentity(cluster);
  const segments: TailSegment[] = [];
  const notes: string[] = [];
  if (identity === undefined) return { segments, notes };
  try {
    for (const object of furthestStored(await listUnfinished(repository, cluster, signal))) {
      if ((await catalog.walFile(repository.name, cluster, object.segment)) !== undefined) continue;
      try {
        segments.push(await walkUnfinished({ ...place, identity }, object, xid, signal));
      } catch (error) {
        if (!isWaldenError(error, ...UNUSABLE)) throw error;
        notes.push(`an unfinished segment in repository ${repository.name} cannot be used: ${error.message}`);
      }
    }
  } catch (error) {
    // A plan is made of the catalog: one that is away for the moment need not be there before the restore.
    if (!isAway(error)) throw error;
    notes.push(`repository ${repository.name} could not be asked for an unfinished segment: ${error.message}`);
  }
  return { segments, notes };
}

async function walkUnfinished(
  { repository, pool, identity }: StoredTailPlace & { readonly identity: ClusterIdentity },
  { key, segment: name }: UnfinishedObject,
  xid: number | undefined,
  signal: AbortSignal | undefined,
): Promise<TailSegment> {
  const { driver } = repository;
  const what = `${key} of repository ${repository.name}`;
  const { file, sha256 } = await readWalObjectHeader(driver, key, signal);
  if (file.name !== `${name}.partial`) throw new WaldenError('FORMAT_INVALID', `${what} holds ${file.name}`);
  const { timeline } = file;
  const segment = segmentNumberOfName(name, identity.segmentBytes);
  const walked = await runOnObject(pool, searchSegmentTask, { driver, key, signal }, (bytes) => ({
    ...{ bytes, object: what, identity, timeline, segment, sha256, xid },
    kind: 'partial' as const,
    restorePoint: undefined,
  }));
  const { end, lastRecord, index, transactionEnds } = walked;
  const storedIn = repository.name;
  return { name, timeline, segment, isWhole: false, storedIn, end, lastRecord, index, transactionEnds };
}

/**
 * Puts one into its place, checked, and durable but for its name. It was filled up with zeros before it was stored.
 * @throws as the driver's `get`; CHECKSUM_MISMATCH, FORMAT_INVALID, SERVER_MISMATCH; LOCAL_IO, STORAGE_FULL
 */
export async function fetchUnfinished(
  { repository, pool, identity }: Pick<StoredTailPlace, 'repository' | 'pool'> & { readonly identity: ClusterIdentity },
  { key, segment }: Pick<UnfinishedObject, 'key' | 'segment'>,
  { path, owner }: FilledFile,
  signal: AbortSignal,
): Promise<void> {
  const staged = `${path}.walden-incomplete`;
  await rm(staged, { force: true });
  const { name } = parseWalName(`${segment}.partial`);
  const { systemIdentifier } = identity;
  await runOnObject(pool, verifyTask, { driver: repository.driver, key, signal }, (bytes) => ({
    ...{ bytes, name, systemIdentifier, target: staged },
  }));
  const file = await open(staged, 'r+');
  try {
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    await file.chmod(0o600);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(staged, path);
}
