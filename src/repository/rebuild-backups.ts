import { errorToDocument, WaldenError } from '../errors.ts';
import type { BackupId, ClusterIdentity } from '../../catalog/catalog.ts';
import { readBackupRecord } from './backup-record.ts';
import { backupRecordKey } from './keys.ts';
import { startOfBackupId } from './names.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';
import { storedBackups } from './stored-backups.ts';

/** Records every backup of one archive; what was left of one without its `backup.json` as failed. */
export async function rebuildBackups(archive: ArchiveRebuild): Promise<void> {
  const identity = await archive.catalog.clusterIdentity(archive.cluster);
  for await (const { id, complete } of storedBackups(archive.repository.driver, archive.cluster, archive.signal)) {
    assertGoingOn(archive.signal);
    if (complete) await recordComplete(archive, id, identity);
    else await recordFailed(archive, id);
  }
}

async function recordComplete(
  archive: ArchiveRebuild,
  id: BackupId,
  identity: ClusterIdentity | undefined,
): Promise<void> {
  const { repository, cluster, catalog, signal } = archive;
  let stored;
  try {
    stored = await readBackupRecord(repository, cluster, id, signal);
    const { systemIdentifier } = stored.facts.identity;
    if (identity !== undefined && systemIdentifier !== identity.systemIdentifier) {
      throw new WaldenError(
        'FORMAT_INVALID',
        `${backupRecordKey(cluster, id)} is of another cluster: system ${systemIdentifier}`,
      );
    }
  } catch (error) {
    noteDamaged(archive, error);
    return;
  }
  await catalog.completeBackup(stored.start, stored.facts);
}

/** An empty catalog has no running backup that could be in the way. */
async function recordFailed({ repository, cluster, catalog, note }: ArchiveRebuild, id: BackupId): Promise<void> {
  const error = new WaldenError(
    'INTERRUPTED',
    `there is no ${backupRecordKey(cluster, id)}: the backup was not completed`,
  );
  note(`repository ${repository.name}: ${error.message}`);
  await catalog.openBackup([{ repository: repository.name, cluster, id, label: '', startedAt: startOfBackupId(id) }]);
  await catalog.failBackup(repository.name, cluster, id, errorToDocument(error));
}
