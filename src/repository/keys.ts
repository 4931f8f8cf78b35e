import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { type Lsn, lsn } from '../postgres/lsn.ts';
import type { ParsedWalName, WalFileName } from '../postgres/wal-name.ts';

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

/** Beside the WAL, not in it: whoever lists the archive must not find what is no file of it. */
export function unfinishedPrefix(cluster: ClusterName): string {
  return `${cluster}/unfinished/`;
}

/** `main/unfinished/00000001/000000010000000A000000FE.0000000AFE012340.zst`: a segment, known up to A/FE012340. */
export function unfinishedKey(cluster: ClusterName, segment: WalFileName, end: Lsn): ObjectKey {
  const position = end.toString(16).toUpperCase().padStart(16, '0');
  return `${unfinishedPrefix(cluster)}${segment.slice(0, 8)}/${segment}.${position}.zst` as ObjectKey;
}

/** What the name of such an object says; undefined for any other name. */
export function parseUnfinishedKey(
  cluster: ClusterName,
  key: ObjectKey,
): { readonly segment: WalFileName; readonly end: Lsn } | undefined {
  const [, segment, position] = /\/([0-9A-F]{24})\.([0-9A-F]{16})\.zst$/.exec(key) ?? [];
  if (segment === undefined || position === undefined) return undefined;
  const parsed = { segment: segment as WalFileName, end: lsn(BigInt(`0x${position}`)) };
  return unfinishedKey(cluster, parsed.segment, parsed.end) === key ? parsed : undefined;
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

/** Beside the backups, so that one short listing tells what is held. */
export function holdsPrefix(cluster: ClusterName): string {
  return `${cluster}/holds/`;
}

/** `main/holds/20261122T021500F/20261129T101500123456Z.json` */
export function holdPrefix(cluster: ClusterName, backup: BackupId): string {
  return `${holdsPrefix(cluster)}${backup}/`;
}

/** What retention removed: `main/expired/20261129T101500123456Z.json`. */
export function expiredPrefix(cluster: ClusterName): string {
  return `${cluster}/expired/`;
}
