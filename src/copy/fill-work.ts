import type { Catalog, ClusterName, SegmentRun, WalFileRecord } from '../../catalog/catalog.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { segmentName } from '../postgres/wal-name.ts';
import type { Repository } from '../repository/repository.ts';
import { type CompleteBackup, fillScope } from './fill-scope.ts';
import { countSegments, holdsSegment } from '../wal/segment-runs.ts';
import { missingSegments } from './missing-wal.ts';

export interface FillPlace {
  readonly catalog: Catalog;
  readonly cluster: ClusterName;
  /** Which is to hold what the others hold. */
  readonly target: Repository;
  readonly sources: readonly Repository[];
}

/** What a repository lacks, by the catalog. */
export interface FillWork {
  /** Oldest first. */
  readonly backups: readonly CompleteBackup[];
  readonly segments: readonly SegmentRun[];
  /** History files first: they are small, and nothing behind them can be restored without them. */
  readonly others: readonly WalFileRecord[];
}

export async function fillWork({ catalog, cluster, target, sources }: FillPlace): Promise<FillWork> {
  const names = sources.map(({ name }) => name);
  // What retention has removed from it stays out of it, wherever else it is.
  const expired = await catalog.expired(target.name, cluster);
  const { backups, from } = fillScope(await catalog.backups(cluster), target.name, names, expired.backups);
  const held = new Set((await catalog.otherWalFiles(target.name, cluster)).map(({ name }) => name));
  const others = new Map<string, WalFileRecord>();
  const segments: SegmentRun[] = [];
  const ranges = await catalog.walRanges(target.name, cluster);
  for (const source of names) {
    for (const file of await catalog.otherWalFiles(source, cluster)) {
      const wanted = file.kind === 'history' || isWanted(file, from, expired.wal);
      if (wanted && !held.has(file.name) && !others.has(file.name)) others.set(file.name, file);
    }
    if (from === undefined) continue;
    const known = [...ranges, ...expired.wal, ...segments];
    segments.push(...missingSegments(await catalog.walRanges(source, cluster), known, from));
  }
  const rank = ({ kind }: WalFileRecord): number => (kind === 'history' ? 0 : 1);
  return { backups, segments, others: [...others.values()].sort((a, b) => rank(a) - rank(b)) };
}

function isWanted(file: WalFileRecord, from: bigint | undefined, expired: readonly SegmentRun[]): boolean {
  if (from === undefined || file.segment === undefined || file.segment < from) return false;
  return !holdsSegment(expired, file.timeline, file.segment);
}

/** How far a repository is behind. */
export interface FillLag {
  readonly walFiles: number;
  /** When the oldest of these was archived elsewhere. */
  readonly oldestAt: Micros | undefined;
  readonly backups: number;
}

export async function fillLag(place: FillPlace): Promise<FillLag> {
  const { catalog, cluster, sources } = place;
  const { segments, others, backups } = await fillWork(place);
  const moments = others.map(({ archivedAt }) => archivedAt);
  const identity = await catalog.clusterIdentity(cluster);
  for (const { timeline, first } of segments) {
    if (identity === undefined) break;
    const name = segmentName(timeline, first, identity.segmentBytes);
    for (const source of sources) {
      const record = await catalog.walFile(source.name, cluster, name);
      if (record !== undefined) moments.push(record.archivedAt);
    }
  }
  return {
    walFiles: countSegments(segments) + others.length,
    oldestAt: moments.length === 0 ? undefined : moments.reduce((least, moment) => (moment < least ? moment : least)),
    backups: backups.length,
  };
}
