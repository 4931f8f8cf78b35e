import { errorToDocument, isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import type { BackupRecord, ClusterName } from '../../catalog/catalog.ts';
import { readBackupRecord } from '../repository/backup-record.ts';
import type { Repository } from '../repository/repository.ts';
import { isActive } from './active-backups.ts';
import type { BackupKeeping } from './backup-deps.ts';

/** There is a record, and it makes no backup. */
const DAMAGED = ['CHECKSUM_MISMATCH', 'FORMAT_INVALID', 'FORMAT_TOO_NEW'] as const;

/**
 * Settles the backups that the catalog calls running although nobody takes them: their service was killed. Where
 * `backup.json` exists the backup does too; where it does not, the backup failed. A repository out of reach leaves its
 * entry as it is, for the next time, and so does one whose keys are missing. Idempotent.
 */
export async function reconcileBackups(
  keeping: BackupKeeping,
  cluster: ClusterName,
  repositories: readonly Repository[],
): Promise<void> {
  for (const row of await keeping.catalog.backups(cluster)) {
    if (row.state !== 'running' || isActive(keeping.catalog, cluster, row.id)) continue;
    const repository = repositories.find(({ name }) => name === row.repository);
    if (repository === undefined) {
      await fail(keeping, row, new WaldenError('INTERRUPTED', `repository ${row.repository} is no longer configured`));
    } else {
      await settle(keeping, row, repository);
    }
  }
}

async function settle(keeping: BackupKeeping, row: BackupRecord, repository: Repository): Promise<void> {
  const { catalog, log } = keeping;
  const facts = { cluster: row.cluster, backup: row.id, repository: row.repository };
  try {
    const stored = await readBackupRecord(repository, row.cluster, row.id);
    await catalog.completeBackup(stored.start, stored.facts);
    log.info(facts, `backup ${row.id} had been completed when the service ended`);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) {
      await fail(keeping, row, new WaldenError('INTERRUPTED', 'the service ended while this backup ran'));
    } else if (isWaldenError(error, ...DAMAGED)) {
      await fail(keeping, row, error);
    } else {
      log.warn(facts, `unable to tell whether backup ${row.id} was completed: ${toWaldenError(error).message}`);
    }
  }
}

async function fail({ catalog, log }: BackupKeeping, row: BackupRecord, error: WaldenError): Promise<void> {
  await catalog.failBackup(row.repository, row.cluster, row.id, errorToDocument(error));
  log.warn(
    { cluster: row.cluster, backup: row.id, repository: row.repository },
    `backup ${row.id} failed: ${error.message}`,
  );
}
