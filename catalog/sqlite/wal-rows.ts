import type { ClusterName, RepositoryName, RestorePoint, WalFileRecord, WalIndex } from '../catalog.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { WalFileKind, WalFileName } from '../../src/postgres/wal-name.ts';
import type { ObjectKey, Sha256Hex } from '../../storage-drivers/driver.ts';
import type { ArchiveId } from './archives.ts';
import { type Integer, lsnOf, microsOf, optionalMicros, optionalNumber } from './rows.ts';

export interface WalFileRow {
  readonly id: Integer;
  readonly name: string;
  readonly kind: string;
  readonly timeline: Integer;
  readonly segment: Integer | null;
  readonly key: string;
  readonly plain_bytes: Integer;
  readonly stored_bytes: Integer;
  readonly sha256: string;
  readonly archived_at: Integer;
  readonly commits: Integer | null;
  readonly first_commit: Integer | null;
  readonly last_commit: Integer | null;
  readonly first_xid: Integer | null;
  readonly last_xid: Integer | null;
  readonly restore_points_omitted: Integer | null;
  readonly history: string | null;
}

export interface RestorePointRow {
  readonly name: string;
  readonly lsn: string;
  readonly time: Integer;
}

export function restorePointOf(row: RestorePointRow): RestorePoint {
  return { name: row.name, lsn: lsnOf(row.lsn), time: microsOf(row.time) };
}

export function walFileOf(
  repository: RepositoryName,
  cluster: ClusterName,
  row: WalFileRow,
  restorePoints: readonly RestorePoint[],
): WalFileRecord {
  return {
    repository,
    cluster,
    name: row.name as WalFileName,
    kind: row.kind as WalFileKind,
    timeline: Number(row.timeline) as TimelineId,
    segment: row.segment ?? undefined,
    key: row.key as ObjectKey,
    plainBytes: Number(row.plain_bytes),
    storedBytes: Number(row.stored_bytes),
    sha256: row.sha256 as Sha256Hex,
    archivedAt: microsOf(row.archived_at),
    index: indexOf(row, restorePoints),
    history: row.history ?? undefined,
  };
}

function indexOf(row: WalFileRow, restorePoints: readonly RestorePoint[]): WalIndex | undefined {
  if (row.commits === null) return undefined;
  return {
    firstCommit: optionalMicros(row.first_commit),
    lastCommit: optionalMicros(row.last_commit),
    commits: Number(row.commits),
    firstXid: optionalNumber(row.first_xid),
    lastXid: optionalNumber(row.last_xid),
    restorePoints,
    restorePointsOmitted: Number(row.restore_points_omitted ?? 0n),
  };
}

/** The named parameters of INSERT and UPDATE. */
export function walFileValues(
  archive: ArchiveId,
  file: WalFileRecord,
): Record<string, bigint | number | string | null> {
  const { index } = file;
  return {
    archive,
    name: file.name,
    kind: file.kind,
    timeline: file.timeline,
    segment: file.segment ?? null,
    key: file.key,
    plainBytes: file.plainBytes,
    storedBytes: file.storedBytes,
    sha256: file.sha256,
    archivedAt: file.archivedAt,
    commits: index?.commits ?? null,
    firstCommit: index?.firstCommit ?? null,
    lastCommit: index?.lastCommit ?? null,
    firstXid: index?.firstXid ?? null,
    lastXid: index?.lastXid ?? null,
    restorePointsOmitted: index?.restorePointsOmitted ?? null,
    history: file.history ?? null,
  };
}
