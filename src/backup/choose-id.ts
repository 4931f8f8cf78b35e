import type { BackupId, BackupStart, Catalog, ClusterName } from '../../catalog/catalog.ts';
import { backupPrefix } from '../repository/keys.ts';
import type { Repository } from '../repository/repository.ts';

/** `20261122T021500F` for a moment, with an `I` for an incremental backup. Pure. */
export function backupIdAt(at: Date, kind: BackupKind): BackupId {
  const digits = at.toISOString().replace(/[-:]/g, '').slice(0, 15);
  return `${digits}${kind === 'full' ? 'F' : 'I'}` as BackupId;
}

export type BackupKind = 'full' | 'incremental';

/** The id of a backup that begins at `now`; a later second where that one is taken. An id is never used twice. */
export async function chooseBackupId(
  deps: { readonly catalog: Catalog; readonly repositories: readonly Repository[] },
  cluster: ClusterName,
  now: Date,
  kind: BackupKind = 'full',
): Promise<BackupId> {
  const known = new Set<BackupStart['id']>((await deps.catalog.backups(cluster)).map(({ id }) => id));
  for (let millis = now.getTime(); ; millis += 1000) {
    const id = backupIdAt(new Date(millis), kind);
    if (!known.has(id) && !(await isStored(deps.repositories, cluster, id))) return id;
  }
}

async function isStored(repositories: readonly Repository[], cluster: ClusterName, id: BackupId): Promise<boolean> {
  for (const { driver } of repositories) {
    for await (const _ of driver.list(backupPrefix(cluster, id))) return true;
  }
  return false;
}
