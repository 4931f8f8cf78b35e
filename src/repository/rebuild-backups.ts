import { errorToDocument, WaldenError } from '../errors.ts';
import type { BackupId, ClusterIdentity } from '../../catalog/catalog.ts';
import { readBackupRecord } from './backup-record.ts';
import { backupRecordKey, backupsPrefix } from './keys.ts';
import { backupId, startOfBackupId } from './names.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';

interface FoundBackup {
  readonly id: BackupId;
  readonly hasRecord: boolean;
}

/** Records every backup of one archive; what was left of one without its `backup.json` as failed. */
export async function rebuildBackups(archive: ArchiveRebuild): Promise<void> {
  const identity = await archive.catalog.clusterIdentity(archive.cluster);
  for await (const { id, hasRecord } of storedBackups(archive)) {
    assertGoingOn(archive.signal);
    if (hasRecord) await recordComplete(archive, id, identity);
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

/** Keys come in order, and `backup.json` stands before everything else of its backup. */
async function* storedBackups({ repository, cluster, signal }: ArchiveRebuild): AsyncGenerator<FoundBackup> {
  const prefix = backupsPrefix(cluster);
  let last: string | undefined;
  for await (const { key } of repository.driver.list(prefix, { signal })) {
    const [id = '', ...rest] = key.slice(prefix.length).split('/');
    if (id === last || !/^\d{8}T\d{6}[FI]$/.test(id)) continue;
    last = id;
    yield { id: backupId(id), hasRecord: rest.join('/') === 'backup.json' };
  }
}
