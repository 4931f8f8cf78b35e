import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import {
  backupClaimKey,
  backupRecordKey,
  backupsPrefix,
  clusterKey,
  expiredPrefix,
  holdsPrefix,
  parseUnfinishedKey,
  unfinishedPrefix,
  walPrefix,
} from '../repository/keys.ts';
import { isMomentKey } from '../repository/moment-names.ts';
import type { UnfinishedObject } from '../wal/unfinished.ts';

/** Of so many it is told which. */
const NAMED = 100;

/** What one repository really holds of a cluster beside its WAL. */
export interface ArchiveSurvey {
  readonly backups: ReadonlyMap<BackupId, FoundBackup>;
  /** Backups of which there are holds or releases. */
  readonly held: ReadonlySet<BackupId>;
  readonly unfinished: readonly UnfinishedObject[];
  /** Objects that Walden did not make, or of a newer version: the first hundred by name, and how many. */
  readonly unknown: { readonly keys: readonly ObjectKey[]; readonly count: number };
}

export interface FoundBackup {
  /** Whether it has its `backup.json`. */
  readonly isComplete: boolean;
  readonly isClaimed: boolean;
  readonly objects: number;
  readonly bytes: number;
}

/** By listing it, without the WAL, of which there may be millions. @throws as the driver's `list` */
export async function surveyArchive(
  driver: StorageDriver,
  cluster: ClusterName,
  signal: AbortSignal,
): Promise<ArchiveSurvey> {
  const backups = new Map<BackupId, FoundBackup>();
  const held = new Set<BackupId>();
  const unfinished: UnfinishedObject[] = [];
  const unknown = { keys: [] as ObjectKey[], count: 0 };
  for await (const { key, size } of besideWal(driver, cluster, signal)) {
    const id = backupOf(backupsPrefix(cluster), key);
    const heldId = backupOf(holdsPrefix(cluster), key);
    const stored = parseUnfinishedKey(cluster, key);
    if (id !== undefined) {
      const { objects = 0, bytes = 0, ...known } = backups.get(id) ?? { isComplete: false, isClaimed: false };
      backups.set(id, {
        isComplete: known.isComplete || key === backupRecordKey(cluster, id),
        isClaimed: known.isClaimed || key === backupClaimKey(cluster, id),
        ...{ objects: objects + 1, bytes: bytes + size },
      });
    } else if (heldId !== undefined && isMomentKey(key)) {
      held.add(heldId);
    } else if (stored !== undefined && key.startsWith(unfinishedPrefix(cluster))) {
      unfinished.push({ key, ...stored });
    } else if (key !== clusterKey(cluster) && !(key.startsWith(expiredPrefix(cluster)) && isMomentKey(key))) {
      unknown.count += 1;
      if (unknown.keys.length < NAMED) unknown.keys.push(key);
    }
  }
  return { backups, held, unfinished, unknown };
}

async function* besideWal(
  driver: StorageDriver,
  cluster: ClusterName,
  signal: AbortSignal,
): AsyncGenerator<{ readonly key: ObjectKey; readonly size: number }> {
  for await (const info of driver.list(`${cluster}/`, { signal })) {
    if (info.key.startsWith(walPrefix(cluster))) break;
    yield info;
  }
  // `0` comes right behind `/`: so the listing goes on behind all of the WAL.
  const behind = `${walPrefix(cluster).slice(0, -1)}0` as ObjectKey;
  yield* driver.list(`${cluster}/`, { after: behind, signal });
}

function backupOf(prefix: string, key: ObjectKey): BackupId | undefined {
  if (!key.startsWith(prefix)) return undefined;
  const [id = '', rest] = key.slice(prefix.length).split('/');
  return /^\d{8}T\d{6}[FI]$/.test(id) && rest !== undefined ? (id as BackupId) : undefined;
}
