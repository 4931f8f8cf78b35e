import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import type { ParsedWalName } from '../postgres/wal-name.ts';

/** Where everything is kept below the prefix of a repository; docs/formats.md describes the same. */

export const REPOSITORY_KEY = 'walden.json' as ObjectKey;

export function clusterKey(cluster: ClusterName): ObjectKey {
  return `${cluster}/cluster.json` as ObjectKey;
}

export function walPrefix(cluster: ClusterName): string {
  return `${cluster}/wal/`;
}

/** `main/wal/00000001/0000000A/000000010000000A000000FE.zst`, `main/wal/00000002.history.zst` */
export function walKey(cluster: ClusterName, file: ParsedWalName): ObjectKey {
  const folder = file.segment === undefined ? '' : `${file.segment.slice(0, 8)}/${file.segment.slice(8, 16)}/`;
  return `${walPrefix(cluster)}${folder}${file.name}.zst` as ObjectKey;
}

export function backupsPrefix(cluster: ClusterName): string {
  return `${cluster}/base/`;
}

export function backupPrefix(cluster: ClusterName, id: BackupId): string {
  return `${backupsPrefix(cluster)}${id}/`;
}

/** The commit record: a backup exists if and only if this object does. */
export function backupRecordKey(cluster: ClusterName, id: BackupId): ObjectKey {
  return `${backupPrefix(cluster, id)}backup.json` as ObjectKey;
}

/** Who takes the backup. */
export function backupClaimKey(cluster: ClusterName, id: BackupId): ObjectKey {
  return `${backupPrefix(cluster, id)}claim.json` as ObjectKey;
}

export function manifestKey(cluster: ClusterName, id: BackupId): ObjectKey {
  return `${backupPrefix(cluster, id)}manifest.ndjson.zst` as ObjectKey;
}

/** Packs are numbered from 1. */
export function packKey(cluster: ClusterName, id: BackupId, pack: number): ObjectKey {
  return `${backupPrefix(cluster, id)}data/${pack.toString().padStart(5, '0')}.tar.zst` as ObjectKey;
}
