import type { BackupId } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { markActive, markEnded } from '../backup/active-backups.ts';
import { assertStored } from '../backup/commit-backup.ts';
import { firstMissing, neededWal } from '../backup/wait-for-wal.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import { segmentName } from '../postgres/wal-name.ts';
import { claimantOf, claimBackup } from '../repository/backup-claim.ts';
import { MAX_RECORD_BYTES, readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { backupPrefix, backupRecordKey, manifestKey, packKey } from '../repository/keys.ts';
import {
  bodyOfBytes,
  bodyOfObject,
  hashObject,
  readSmallObject,
  type StoredObject,
} from '../repository/object-bytes.ts';
import { assertParentStored } from '../repository/parent-backup.ts';
import type { Repository } from '../repository/repository.ts';
import type { CopiedCluster, CopyControls, CopyDeps } from './copy-deps.ts';

export interface CopyWay {
  readonly from: Repository;
  readonly to: Repository;
}

/**
 * Copies one backup, byte for byte: claimed, packs and manifest each checked on the way, its WAL and what it builds on known
 * to be there already, `backup.json` last. What an earlier attempt brought is kept.
 * @returns what was done
 * @throws ARCHIVE_GAP while the WAL that it needs is not in `to`; STORAGE_OBJECT_MISSING while what it builds on is not, or
 * when it is damaged in `from`; STORAGE_SIZE: it is damaged there; STORAGE_OBJECT_EXISTS: `to` holds another backup under this id; the codes of stores out of reach
 */
export async function copyBackup(
  deps: CopyDeps,
  { cluster }: CopiedCluster,
  way: CopyWay,
  id: BackupId,
  controls: CopyControls,
): Promise<'copied' | 'present'> {
  const { from, to } = way;
  const { signal } = controls;
  const backup = await readBackupRecord(from, cluster, id, signal);
  const key = backupRecordKey(cluster, id);
  const record = await readSmallObject(from.driver, key, MAX_RECORD_BYTES, signal);
  // Nobody sweeps what is active, or takes a backup under this id.
  markActive(deps.catalog, cluster, id);
  try {
    const present = await holdsRecord(to, key, record, signal);
    if (present) {
      for (const { bytes } of [...backup.packs, backup.manifest]) controls.onDone?.(bytes, 'present');
    } else {
      await assertWal(deps, to, backup);
      await assertParentStored(to, backup, signal);
      await copyObjects(deps, way, backup, controls);
      await assertStored(to, backup.start, backup, signal);
      await putRecord(to, key, record);
    }
    await deps.catalog.completeBackup({ ...backup.start, repository: to.name }, backup.facts);
    return present ? 'present' : 'copied';
  } finally {
    markEnded(deps.catalog, cluster, id);
  }
}

/** A backup without its WAL is none. */
async function assertWal({ catalog }: CopyDeps, to: Repository, { start, facts }: StoredBackup): Promise<void> {
  const { timeline, startLsn, stopLsn, identity } = facts;
  const needed = neededWal(timeline, startLsn, stopLsn, identity.segmentBytes);
  const missing = firstMissing(needed, await catalog.walRanges(to.name, start.cluster));
  if (missing === undefined) return;
  const segment = segmentName(timeline, missing, identity.segmentBytes);
  throw new WaldenError('ARCHIVE_GAP', `backup ${start.id} needs ${segment}, which repository ${to.name} lacks`);
}

async function copyObjects(
  deps: CopyDeps,
  { from, to }: CopyWay,
  { start, packs, manifest }: StoredBackup,
  { signal, onDone }: CopyControls,
): Promise<void> {
  const { cluster, id } = start;
  const trusted = await claim(deps, to, start);
  const there = new Map<string, number>();
  for await (const { key, size } of to.driver.list(backupPrefix(cluster, id), { signal })) there.set(key, size);
  const objects = packs.map((pack, index) => ({ key: packKey(cluster, id, index + 1), stored: pack }));
  for (const { key, stored } of [...objects, { key: manifestKey(cluster, id), stored: manifest }]) {
    signal.throwIfAborted();
    const size = there.get(key);
    if (size === undefined) {
      await copyObject({ from, to }, key, stored, signal);
    } else if (size !== stored.bytes || !(trusted || (await hashObject(to.driver, key, signal)) === stored.sha256)) {
      throw otherBytes(to, key);
    }
    onDone?.(stored.bytes, size === undefined ? 'copied' : 'present');
  }
}

async function copyObject(
  { from, to }: CopyWay,
  key: ObjectKey,
  stored: StoredObject,
  signal: AbortSignal,
): Promise<void> {
  try {
    await to.driver.put(key, bodyOfObject(from.driver, key, stored, signal), { ifExists: 'fail', signal });
  } catch (error) {
    // Another service copies the same backup: the same bytes, then.
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    if ((await hashObject(to.driver, key, signal)) !== stored.sha256) throw otherBytes(to, key);
  }
}

/** Whether all that is there of it was put by this service, and so is known to be whole. */
async function claim(deps: CopyDeps, to: Repository, { cluster, id }: StoredBackup['start']): Promise<boolean> {
  try {
    await claimBackup(to, cluster, id, deps.instance);
    return true;
  } catch (error) {
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    return (await claimantOf(to, cluster, id)) === deps.instance;
  }
}

/** @throws STORAGE_OBJECT_EXISTS when there is a record of another backup */
async function holdsRecord(to: Repository, key: ObjectKey, record: Buffer, signal?: AbortSignal): Promise<boolean> {
  let found: Buffer;
  try {
    found = await readSmallObject(to.driver, key, MAX_RECORD_BYTES, signal);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return false;
    throw error;
  }
  if (found.equals(record)) return true;
  throw otherBytes(to, key);
}

/** Not to be interrupted. A put whose answer was lost is settled by looking. */
async function putRecord(to: Repository, key: ObjectKey, record: Buffer): Promise<void> {
  try {
    await to.driver.put(key, bodyOfBytes(record), { ifExists: 'fail' });
  } catch (error) {
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS') || !(await holdsRecord(to, key, record))) throw error;
  }
}

function otherBytes({ name }: Repository, key: ObjectKey): WaldenError {
  return new WaldenError(
    'STORAGE_OBJECT_EXISTS',
    `repository ${name} holds other bytes as ${key}; nothing was overwritten`,
  );
}
