import { errorToDocument, isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import type { BackupFacts, BackupRecord, BackupStart } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { encodeBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { backupPrefix, backupRecordKey, manifestKey, packKey } from '../repository/keys.ts';
import { bodyOfBytes, bodyOfStored, readSmallObject, type StoredObject } from '../repository/object-bytes.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupDeps } from './backup-deps.ts';

/** Stores the manifest in every repository. */
export async function storeManifest(
  repositories: readonly Repository[],
  start: Pick<BackupStart, 'cluster' | 'id'>,
  manifest: StoredObject & { readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  const key = manifestKey(start.cluster, start.id);
  const body = bodyOfStored(manifest.path, manifest);
  const outcomes = await Promise.allSettled(
    repositories.map(({ driver }) => driver.put(key, body, { ifExists: 'fail', signal })),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/**
 * Asks the store itself, once more, whether all is there that `backup.json` will name: hours lie between the first pack and
 * now, in which somebody may have tidied up.
 * @throws STORAGE_OBJECT_MISSING, STORAGE_SIZE, and the codes of a store out of reach
 */
export async function assertStored(
  { name, driver }: Repository,
  { cluster, id }: Pick<BackupStart, 'cluster' | 'id'>,
  { packs, manifest }: Pick<StoredBackup, 'packs' | 'manifest'>,
  signal: AbortSignal,
): Promise<void> {
  const found = new Map<string, number>();
  for await (const { key, size } of driver.list(backupPrefix(cluster, id), { signal })) found.set(key, size);
  const wanted = packs.map(({ bytes }, index) => ({ key: packKey(cluster, id, index + 1), bytes }));
  for (const { key, bytes } of [...wanted, { key: manifestKey(cluster, id), bytes: manifest.bytes }]) {
    const size = found.get(key);
    if (size === bytes) continue;
    const hint = 'somebody removed or changed it while the backup was taken; begin it again';
    if (size === undefined) {
      throw new WaldenError('STORAGE_OBJECT_MISSING', `${key} is no longer in repository ${name}`, { hint });
    }
    throw new WaldenError('STORAGE_SIZE', `${key} in repository ${name} has ${size} bytes instead of ${bytes}`, {
      hint,
    });
  }
}

/** One repository in which the commit failed. */
export interface CommitFailure {
  readonly repository: Repository;
  readonly error: WaldenError;
  /** Whether `backup.json` may exist all the same: then nothing of the backup may be removed yet. */
  readonly uncertain: boolean;
}

export interface CommitOutcome {
  readonly committed: readonly BackupRecord[];
  readonly failures: readonly CommitFailure[];
}

/**
 * Writes `backup.json`, repository by repository, and then tells the catalog: from this moment the backup exists there. Not
 * to be interrupted. A repository that fails does not take the backup from the others.
 */
export async function commitBackup(
  deps: Pick<BackupDeps, 'catalog' | 'log' | 'repositories' | 'version'>,
  start: Omit<BackupStart, 'repository'>,
  facts: BackupFacts,
  rest: Pick<StoredBackup, 'backupLabel' | 'tablespaceMap' | 'packs' | 'manifest'>,
): Promise<CommitOutcome> {
  const committed: BackupRecord[] = [];
  const failures: CommitFailure[] = [];
  for (const repository of deps.repositories) {
    const own: BackupStart = { repository: repository.name, ...start };
    const bytes = encodeBackupRecord({ start: own, facts, ...rest, waldenVersion: deps.version });
    try {
      await putRecord(repository, backupRecordKey(start.cluster, start.id), bytes);
    } catch (error) {
      const known = isWaldenError(error, 'STORAGE_DENIED', 'STORAGE_FULL');
      failures.push({ repository, error: toWaldenError(error), uncertain: !known });
      continue;
    }
    committed.push({ ...own, state: 'complete', facts, error: undefined });
    await tellCatalog(deps, own, facts);
  }
  return { committed, failures };
}

/** A put whose answer was lost is settled by looking: the bytes are these, or nothing is there. */
async function putRecord({ driver }: Repository, key: ObjectKey, bytes: Buffer): Promise<void> {
  try {
    await driver.put(key, bodyOfBytes(bytes), { ifExists: 'fail' });
  } catch (error) {
    let found: Buffer | undefined;
    try {
      found = await readSmallObject(driver, key, bytes.byteLength);
    } catch {
      // Not there, or not to be read now: the failure of the put is what to tell.
    }
    if (found?.equals(bytes) !== true) throw error;
  }
}

/** The backup exists whatever the catalog says: when it cannot be told now, the next start does it. */
async function tellCatalog(
  { catalog, log }: Pick<BackupDeps, 'catalog' | 'log'>,
  start: BackupStart,
  facts: BackupFacts,
): Promise<void> {
  try {
    await catalog.completeBackup(start, facts);
  } catch (error) {
    log.warn(
      { cluster: start.cluster, backup: start.id, repository: start.repository, error: errorToDocument(error) },
      `backup ${start.id} is complete, but the catalog could not be told; the next backup or start does it`,
    );
  }
}
