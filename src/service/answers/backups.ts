import { WaldenError } from '../../errors.ts';
import type { BackupRecord, Catalog, ClusterName } from '../../../catalog/catalog.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import { readBackupRecord } from '../../repository/backup-record.ts';
import { readManifest } from '../../repository/manifest-reader.ts';
import { backupId } from '../../repository/names.ts';
import type { Repository } from '../../repository/repository.ts';
import type { BackupFileDocument } from '../api.ts';

/** By id, or `latest`: the newest that is complete. @throws NOT_FOUND, FORMAT_INVALID */
export async function findBackup(catalog: Catalog, cluster: ClusterName, wanted: string): Promise<BackupRecord> {
  const backups = await catalog.backups(cluster);
  if (wanted === 'latest') {
    const latest = backups.filter((backup) => backup.state === 'complete').at(-1);
    if (latest !== undefined) return latest;
    throw new WaldenError('NOT_FOUND', `cluster ${cluster} has no complete backup`, {
      hint: `take one with: walden backup ${cluster}`,
    });
  }
  const id = backupId(wanted);
  const found = backups.find((backup) => backup.id === id);
  if (found !== undefined) return found;
  throw new WaldenError('NOT_FOUND', `cluster ${cluster} has no backup ${id}`, {
    hint: `list them with: walden list ${cluster}`,
  });
}

/** The files of a complete backup, as its manifest says. */
export async function* backupFiles(
  repositories: readonly Repository[],
  backup: BackupRecord,
): AsyncGenerator<BackupFileDocument> {
  const repository = repositories.find(({ name }) => name === backup.repository);
  if (repository === undefined || backup.state !== 'complete') {
    throw new WaldenError('BACKUP_INVALID', `backup ${backup.id} is not complete in a repository of this cluster`);
  }
  const stored = await readBackupRecord(repository, backup.cluster, backup.id);
  for await (const entry of readManifest(repository, stored)) {
    yield {
      path: entry.path,
      type: entry.type,
      bytes: entry.type === 'file' ? entry.size : 0,
      mode: entry.type === 'tablespace' ? null : entry.mode,
      modifiedAt: entry.type === 'file' ? formatMicros(entry.mtime) : null,
      sha256: entry.type === 'file' ? entry.sha256 : null,
    };
  }
}
