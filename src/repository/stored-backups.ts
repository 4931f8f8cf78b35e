import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { backupsPrefix } from './keys.ts';

export interface StoredBackupId {
  readonly id: BackupId;
  /** Whether it has its `backup.json`. */
  readonly complete: boolean;
}

/** What a repository holds of backups, by listing it, oldest first. `backup.json` sorts before everything else of its backup. */
export async function* storedBackups(
  driver: StorageDriver,
  cluster: ClusterName,
  signal: AbortSignal,
): AsyncGenerator<StoredBackupId, void, undefined> {
  const prefix = backupsPrefix(cluster);
  let last: string | undefined;
  for await (const { key } of driver.list(prefix, { signal })) {
    const [id = '', ...rest] = key.slice(prefix.length).split('/');
    if (id === last || !/^\d{8}T\d{6}[FI]$/.test(id)) continue;
    last = id;
    yield { id: id as BackupId, complete: rest.join('/') === 'backup.json' };
  }
}
