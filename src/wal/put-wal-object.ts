import { isWaldenError, WaldenError } from '../errors.ts';
import type { WalFileRecord } from '../../catalog/catalog.ts';
import type { ObjectBody, Sha256Hex } from '../../storage-drivers/driver.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import type { Repository } from '../repository/repository.ts';
import { largestWalObject, readWalObjectHeader } from '../repository/wal-object.ts';
import type { ArchiveContext } from './archive-context.ts';
import { openWalObject } from './open-object.ts';

/**
 * Puts a WAL object create-only. When the key is taken - by a push whose answer was lost, by one whose row was not written
 * any more, by another service - what is there is read and compared.
 * @returns what the catalog must say of the object that is there now
 * @throws ARCHIVE_DUPLICATE when it holds other bytes, and as the driver
 */
export async function putWalObject(
  context: Pick<ArchiveContext, 'cluster' | 'identity' | 'pool'>,
  repository: Repository,
  wanted: WalFileRecord,
  body: ObjectBody,
  signal?: AbortSignal,
): Promise<WalFileRecord> {
  try {
    const largestBytes = largestWalObject(context.identity.segmentBytes);
    await repository.driver.put(wanted.key, body, { ifExists: 'fail', largestBytes, signal });
    return wanted;
  } catch (error) {
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    return await settleExisting(context, repository, wanted, signal);
  }
}

/** Its own head says what the row must say. */
async function settleExisting(
  context: Pick<ArchiveContext, 'cluster' | 'identity' | 'pool'>,
  repository: Repository,
  wanted: WalFileRecord,
  signal: AbortSignal | undefined,
): Promise<WalFileRecord> {
  const { driver } = repository;
  const { sha256 } = await openWalObject(context, repository, parseWalName(wanted.name), undefined, signal);
  const { archivedAt, index } = await readWalObjectHeader(driver, wanted.key, signal);
  const { size } = await driver.stat(wanted.key, { signal });
  const existing = { ...wanted, sha256, storedBytes: size, archivedAt, index };
  assertSameBytes(existing, wanted.sha256);
  return existing;
}

/** @throws ARCHIVE_DUPLICATE */
export function assertSameBytes(stored: WalFileRecord, sha256: Sha256Hex): void {
  if (stored.sha256 === sha256) return;
  throw new WaldenError(
    'ARCHIVE_DUPLICATE',
    `${stored.name} is in repository ${stored.repository} with other bytes; nothing was overwritten`,
    { details: { key: stored.key, stored: stored.sha256, offered: sha256 } },
  );
}
