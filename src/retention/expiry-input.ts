import type {
  BackupId,
  ClusterName,
  ExpiredArchive,
  HoldRecord,
  RepositoryName,
  SegmentRun,
  WalRange,
} from '../../catalog/catalog.ts';
import type { RetentionPolicy } from '../config/config.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import { type Micros, micros } from '../postgres/timestamp.ts';
import type { SegmentBytes, WalFileKind, WalFileName } from '../postgres/wal-name.ts';
import { type ArchiveView, type CompleteBackup, type PathView, pathViews } from '../wal/archive-view.ts';
import type { Ancestry } from '../wal/path-coverage.ts';

/** A WAL file that is no segment. */
export interface OtherFile {
  readonly name: WalFileName;
  readonly kind: WalFileKind;
  readonly timeline: TimelineId;
  readonly segment: bigint | undefined;
}

/** What one repository holds of one cluster, and what speaks for keeping it. Values only: the planner asks nobody. */
export interface ExpiryInput {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly now: Micros;
  /** Not later than now. Windows reach back from here, and no hold has ended before. */
  readonly windowEnd: Micros;
  readonly policy: RetentionPolicy;
  readonly segmentBytes: SegmentBytes;
  /** All that count as complete. */
  readonly backups: readonly CompleteBackup[];
  /** Those of them that cannot be restored all the same, and why. */
  readonly doubts: ReadonlyMap<BackupId, string>;
  /** Being taken, by whomever. */
  readonly running: readonly BackupId[];
  readonly histories: readonly Ancestry[];
  readonly ranges: readonly WalRange[];
  readonly others: readonly OtherFile[];
  /** By `placeOf`: not later was anything in the segment written. For the ends of runs and ranges at least. */
  readonly writtenAt: ReadonlyMap<string, Micros>;
  readonly holds: readonly HoldRecord[];
  /** What repositories that are filled in the background are to get from the others, and have not yet. */
  readonly awaited: {
    readonly backups: readonly { readonly id: BackupId; readonly by: RepositoryName }[];
    readonly segments: readonly (SegmentRun & { readonly by: RepositoryName })[];
  };
  /** On their way into this repository. */
  readonly arriving: readonly CompleteBackup[];
  /** How long the store keeps what is stored from being removed. */
  readonly lockSeconds: number | undefined;
  /** What the store would not let go when it was tried, and why. */
  readonly refused: ReadonlyMap<BackupId, string>;
  /** Restored not long ago: the recovery of the node may still ask for WAL, and would end early without it. */
  readonly restored: ReadonlySet<BackupId>;
  /** What retention removed earlier. */
  readonly expired: ExpiredArchive;
}

/** A key of `writtenAt`. */
export function placeOf(timeline: TimelineId, segment: bigint): string {
  return `${timeline}/${segment}`;
}

export function secondsBefore(now: Micros, seconds: number): Micros {
  return micros(now - seconds * 1_000_000);
}

/** What the planner knows of the WAL. */
type StoredWal = Pick<ExpiryInput, 'repository' | 'cluster' | 'segmentBytes' | 'histories' | 'ranges' | 'expired'>;

/** The archive as the choice of a restore would see it. */
export function archiveOf(input: StoredWal, backups: readonly CompleteBackup[]): ArchiveView {
  const { repository, cluster, segmentBytes, histories, ranges, expired } = input;
  return { repository, cluster, segmentBytes, histories, ranges, backups, expired: expired.wal };
}

/** The segments whose moment the planner asks for: where runs and ranges end. Pure. */
export function placesAsked(input: StoredWal): readonly { readonly timeline: TimelineId; readonly segment: bigint }[] {
  const places = new Map<string, { timeline: TimelineId; segment: bigint }>();
  const add = (timeline: TimelineId, segment: bigint): void => {
    places.set(placeOf(timeline, segment), { timeline, segment });
  };
  for (const { timeline, last } of input.ranges) add(timeline, last);
  for (const { runs } of pathViews(archiveOf(input, []))) {
    for (const { spans } of runs) for (const { timeline, to } of spans.slice(-1)) add(timeline, to);
  }
  return [...places.values()];
}

/** When the last of a run was written; without a fact it may have been just now. */
export function endOfRun(input: ExpiryInput, { spans }: PathView['runs'][number]): Micros {
  const last = spans.at(-1);
  return (last && input.writtenAt.get(placeOf(last.timeline, last.to))) ?? input.now;
}

/** When the newest segment of all was written. */
export function newestWritten({ ranges, writtenAt, now }: ExpiryInput): Micros {
  const moments = ranges.map(({ timeline, last }) => writtenAt.get(placeOf(timeline, last)) ?? now);
  return moments.reduce((newest, moment) => (moment > newest ? moment : newest), moments[0] ?? now);
}
