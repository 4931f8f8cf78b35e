import { errorToDocument, WaldenError } from '../errors.ts';
import type { BackupId } from '../../catalog/catalog.ts';
import { micros, type Micros, parseMicros } from '../postgres/timestamp.ts';
import { readBackupRecord } from './backup-record.ts';
import { backupRecordKey, backupsPrefix } from './keys.ts';
import { backupId } from './names.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';

interface FoundBackup {
  readonly id: BackupId;
  readonly hasRecord: boolean;
}

/** Records every backup of one archive; what was left of one without its `backup.json` as failed. */
export async function rebuildBackups(archive: ArchiveRebuild): Promise<void> {
  for await (const { id, hasRecord } of storedBackups(archive)) {
    assertGoingOn(archive.signal);
    if (hasRecord) await recordComplete(archive, id);
    else await recordFailed(archive, id);
  }
}

async function recordComplete(archive: ArchiveRebuild, id: BackupId): Promise<void> {
  const { repository, cluster, catalog, signal } = archive;
  let stored;
  try {
    stored = await readBackupRecord(repository, cluster, id, signal);
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
  await catalog.openBackup([{ repository: repository.name, cluster, id, label: '', startedAt: startOfId(id) }]);
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

/** The second in the id, which is that of the start. */
function startOfId(id: BackupId): Micros {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(id) ?? [];
  const text = `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`;
  try {
    return parseMicros(text);
  } catch {
    // The pattern of ids lets a 13th month pass: the backup failed all the same.
    return micros(0);
  }
}
