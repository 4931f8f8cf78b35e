import type { ClusterIdentity, WalFileRecord } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { type ErrorCode, isWaldenError, WaldenError } from '../errors.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import { hashObject, type StoredObject } from '../repository/object-bytes.ts';
import type { Repository } from '../repository/repository.ts';
import { openWalObject } from '../wal/open-object.ts';

/** What says that an object is not the one that was stored; anything else says nothing about it. */
export const DAMAGED = [
  'CHECKSUM_MISMATCH',
  'FORMAT_INVALID',
  'STORAGE_OBJECT_MISSING',
  'STORAGE_SIZE',
] as const satisfies readonly ErrorCode[];

/** What is wrong with an object; undefined: nothing. @throws what says nothing about it */
export async function damageOf(look: () => Promise<void>): Promise<WaldenError | undefined> {
  try {
    await look();
    return undefined;
  } catch (error) {
    if (isWaldenError(error, ...DAMAGED)) return error;
    throw error;
  }
}

/**
 * Reads a WAL file of a repository to its end and compares it with its own head and with the catalog.
 * @throws DAMAGED; SERVER_MISMATCH when it is another cluster's; the codes of a store out of reach
 */
export async function checkWalFile(
  pool: WorkerPool,
  target: Repository,
  { cluster, name, key, sha256 }: WalFileRecord,
  identity: ClusterIdentity,
  signal: AbortSignal,
): Promise<void> {
  const found = await openWalObject({ cluster, identity, pool }, target, parseWalName(name), undefined, signal);
  if (found.sha256 !== sha256) throw new WaldenError('CHECKSUM_MISMATCH', `${key} is not what was archived`);
}

/** Reads an object of a backup to its end. @throws DAMAGED; the codes of a store out of reach */
export async function checkObject(
  { name, driver }: Repository,
  key: ObjectKey,
  { sha256 }: StoredObject,
  signal: AbortSignal,
): Promise<void> {
  if ((await hashObject(driver, key, signal)) === sha256) return;
  throw new WaldenError('CHECKSUM_MISMATCH', `${key} in repository ${name} is not what was stored`);
}
