import { WaldenError } from '../../errors.ts';
import type { BackupRecord, Catalog, ClusterName, HoldRecord } from '../../../catalog/catalog.ts';
import type { Clock } from '../../platform/clock.ts';
import { formatMicros, microsFromDate } from '../../postgres/timestamp.ts';
import { backupDocument } from '../../repository/backup-document.ts';
import { readBackupRecord } from '../../repository/backup-record.ts';
import { readManifest } from '../../repository/manifest-reader.ts';
import { backupId } from '../../repository/names.ts';
import type { Repository } from '../../repository/repository.ts';
import { isHeld } from '../../retention/keep-backups.ts';
import type { BackupDocument, BackupFileDocument } from '../api.ts';

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

/** Makes the documents of a cluster's backups, with what was found damaged of them and what they are kept for. */
export async function backupDocuments(
  { catalog, clock }: { readonly catalog: Catalog; readonly clock: Clock },
  cluster: ClusterName,
): Promise<(backup: BackupRecord) => BackupDocument> {
  const marks = await catalog.proof.damagedObjects(cluster);
  const now = microsFromDate(clock.now());
  const holds = (await catalog.holds(cluster)).filter((hold) => isHeld(hold, now));
  return (backup) => ({ ...backupDocument(backup, marks), ...keptDocument(holds, backup) });
}

/**
 * A hold in one repository keeps the copies in the others too: the one that lasts longest counts. What is not complete there
 * is kept by none.
 */
function keptDocument(holds: readonly HoldRecord[], { id, state }: BackupRecord): Pick<BackupDocument, 'kept'> {
  if (state !== 'complete') return {};
  const [longest] = holds.filter(({ backup }) => backup === id).sort((a, b) => endOf(b) - endOf(a));
  if (longest === undefined) return {};
  const { until, reason } = longest;
  return { kept: { until: until === undefined ? null : formatMicros(until), reason: reason ?? null } };
}

function endOf({ until }: HoldRecord): number {
  return until ?? Number.MAX_SAFE_INTEGER;
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
