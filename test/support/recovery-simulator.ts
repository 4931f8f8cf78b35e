import type { BackupId, ClusterName, RepositoryName, SegmentSpan, WalRange } from '../../catalog/catalog.ts';
import type { Lsn, SystemIdentifier, TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { SegmentBytes } from '../../src/postgres/wal-name.ts';
import type { ArchiveView, CompleteBackup } from '../../src/wal/archive-view.ts';
import type { ArchiveLookups } from '../../src/restore/decide.ts';
import type { RecoveryTarget } from '../../src/restore/target.ts';

/**
 * A brute-force model of an archive and of PostgreSQL's recovery (xlogrecovery.c, 13 and later): every record is looked
 * at, one after the other. Slow and simple, to hold the clever choice against.
 */
export const SEGMENT = 1 << 20;

export interface SimRecord {
  readonly start: bigint;
  readonly end: bigint;
  readonly time: number;
  readonly kind: 'commit' | 'point' | 'other';
  readonly xid: number;
  readonly name: string;
}

export interface SimTimeline {
  readonly id: number;
  readonly ancestors: readonly { readonly timeline: number; readonly switchLsn: bigint }[];
  /** Its own records, after the fork. */
  readonly records: readonly SimRecord[];
}

export interface SimBackup {
  readonly id: string;
  readonly timeline: number;
  readonly start: bigint;
  readonly stop: bigint;
  readonly stoppedAt: number;
}

export interface SimArchive {
  readonly timelines: readonly SimTimeline[];
  readonly backups: readonly SimBackup[];
  /** `timeline/segment` of what is archived. */
  readonly stored: ReadonlySet<string>;
}

export type Outcome =
  | { readonly end: 'reached'; readonly position: bigint }
  | { readonly end: 'ran out'; readonly position: bigint }
  | { readonly end: 'inconsistent' }
  /** It went on with an older timeline's file, beyond the fork. */
  | { readonly end: 'mixed' }
  | { readonly end: 'not on the timeline' };

const segmentOf = (position: bigint): bigint => position / BigInt(SEGMENT);

/** All records that recovery along this timeline would meet, in order. */
function recordsAlong(archive: SimArchive, timeline: SimTimeline): readonly SimRecord[] {
  const byId = new Map(archive.timelines.map((one) => [one.id, one]));
  const parts = timeline.ancestors.map(({ timeline: id, switchLsn }) =>
    byId.get(id)!.records.filter((record) => record.end <= switchLsn),
  );
  return [...parts.flat(), ...timeline.records];
}

/** The files that PostgreSQL tries for this segment: every timeline of the path that had begun by then, newest first. */
function filesOf(timeline: SimTimeline, segment: bigint): readonly string[] {
  const owners = [timeline.ancestors[0]?.timeline ?? timeline.id];
  timeline.ancestors.forEach(({ switchLsn }, index) => {
    if (segmentOf(switchLsn) <= segment) owners.unshift(timeline.ancestors[index + 1]?.timeline ?? timeline.id);
  });
  return owners.map((owner) => `${owner}/${segment}`);
}

export function recover(archive: SimArchive, backup: SimBackup, timelineId: number, target: RecoveryTarget): Outcome {
  const timeline = archive.timelines.find(({ id }) => id === timelineId)!;
  const left = timeline.ancestors.find((ancestor) => ancestor.timeline === backup.timeline)?.switchLsn;
  if (backup.timeline !== timelineId && (left === undefined || backup.stop > left))
    return { end: 'not on the timeline' };
  let position = backup.start;
  let current = 0;
  for (const record of recordsAlong(archive, timeline)) {
    if (record.start < backup.start) continue;
    const [file, ...older] = filesOf(timeline, segmentOf(record.start));
    if (!archive.stored.has(file!)) {
      const tried = older.filter((one) => Number.parseInt(one, 10) >= current);
      if (tried.some((one) => archive.stored.has(one))) return { end: 'mixed' };
      break;
    }
    current = Number.parseInt(file!, 10);
    const consistent = position >= backup.stop;
    if (stopsBefore(record, target) || (target.kind === 'immediate' && consistent))
      return reached(consistent, position);
    position = record.end;
    const now = position >= backup.stop;
    if (stopsAfter(record, target) || (target.kind === 'immediate' && now)) return reached(now, position);
  }
  if (position < backup.stop) return { end: 'inconsistent' };
  return target.kind === 'latest' ? { end: 'reached', position } : { end: 'ran out', position };
}

function reached(consistent: boolean, position: bigint): Outcome {
  return consistent ? { end: 'reached', position } : { end: 'inconsistent' };
}

function stopsBefore(record: SimRecord, target: RecoveryTarget): boolean {
  if (target.kind === 'lsn') return !target.inclusive && record.start >= target.lsn;
  if (record.kind !== 'commit') return false;
  if (target.kind === 'xid') return !target.inclusive && record.xid === target.xid;
  if (target.kind !== 'time') return false;
  return target.inclusive ? record.time > target.time : record.time >= target.time;
}

function stopsAfter(record: SimRecord, target: RecoveryTarget): boolean {
  if (target.kind === 'lsn') return target.inclusive && record.start >= target.lsn;
  if (target.kind === 'name') return record.kind === 'point' && record.name === target.name;
  return target.kind === 'xid' && target.inclusive && record.kind === 'commit' && record.xid === target.xid;
}

/** What one file holds: a new timeline's first segment begins with a copy of the old one's bytes. */
function recordsIn(archive: SimArchive, timelineId: number, segment: bigint): readonly SimRecord[] {
  const timeline = archive.timelines.find(({ id }) => id === timelineId)!;
  return recordsAlong(archive, timeline).filter((record) => segmentOf(record.start) === segment);
}

export function viewOf(archive: SimArchive): ArchiveView {
  return {
    repository: 'local' as RepositoryName,
    cluster: 'main' as ClusterName,
    segmentBytes: SEGMENT as SegmentBytes,
    backups: archive.backups.map(backupRecord),
    histories: archive.timelines
      .filter(({ id }) => id > 1)
      .map(({ id, ancestors }) => ({
        timeline: id as TimelineId,
        ancestors: ancestors.map(({ timeline, switchLsn }) => ({
          timeline: timeline as TimelineId,
          switchLsn: switchLsn as Lsn,
        })),
      })),
    ranges: rangesOf(archive),
  };
}

function rangesOf(archive: SimArchive): readonly WalRange[] {
  const ranges: { -readonly [K in keyof WalRange]: WalRange[K] }[] = [];
  const files = [...archive.stored].map((file) => file.split('/').map(Number) as [number, number]);
  for (const [timeline, segment] of files.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = ranges.at(-1);
    const number = BigInt(segment);
    if (last?.timeline === timeline && last.last === number - 1n) last.last = number;
    else ranges.push({ timeline: timeline as TimelineId, first: number, last: number, storedBytes: 1 });
  }
  return ranges;
}

function backupRecord(backup: SimBackup): CompleteBackup {
  return {
    repository: 'local' as RepositoryName,
    cluster: 'main' as ClusterName,
    id: backup.id as BackupId,
    label: '',
    startedAt: backup.stoppedAt as Micros,
    state: 'complete',
    error: undefined,
    facts: {
      identity: {
        systemIdentifier: '1' as SystemIdentifier,
        majorVersion: 17,
        segmentBytes: SEGMENT as SegmentBytes,
      },
      parent: undefined,
      timeline: backup.timeline as TimelineId,
      startLsn: backup.start as Lsn,
      stopLsn: backup.stop as Lsn,
      stoppedAt: backup.stoppedAt as Micros,
      finishedAt: backup.stoppedAt as Micros,
      files: 1,
      plainBytes: 1,
      storedBytes: 1,
      checksumsVerified: true,
      corruptPages: [],
      tablespaces: [],
    },
  };
}

/** The catalog's answers, by looking at every record of every stored file. */
export function lookupsOf(archive: SimArchive): ArchiveLookups {
  const within = (span: SegmentSpan): readonly { readonly segment: bigint; readonly record: SimRecord }[] => {
    const found = [];
    for (let segment = span.from; segment <= span.to; segment += 1n) {
      if (!archive.stored.has(`${span.timeline}/${segment}`)) continue;
      for (const record of recordsIn(archive, span.timeline, segment)) found.push({ segment, record });
    }
    return found;
  };
  const commits = (span: SegmentSpan): ReturnType<typeof within> =>
    within(span).filter(({ record }) => record.kind === 'commit');
  const place = ({ end, time }: SimRecord) => ({ end: end as Lsn, time: time as Micros });
  return {
    commitBounds: (span) => {
      const times = commits(span).map(({ record }) => record.time as Micros);
      return Promise.resolve({ first: times[0], last: times.at(-1) });
    },
    firstSegmentWithCommitAfter: (span, time, orEqual) =>
      Promise.resolve(
        commits(span).find(({ record }) => (orEqual ? record.time >= time : record.time > time))?.segment,
      ),
    restorePoints: (name) => {
      const found = [...archive.stored].flatMap((file) => {
        const [timeline, segment] = file.split('/').map(Number) as [number, number];
        return recordsIn(archive, timeline, BigInt(segment))
          .filter((record) => record.kind === 'point' && record.name === name)
          .map((record) => ({ ...place(record), timeline: timeline as TimelineId }));
      });
      return Promise.resolve(found.sort((a, b) => (a.end < b.end ? -1 : 1)));
    },
    transactionEnds: (spans, xid) =>
      Promise.resolve(
        spans
          .flatMap(commits)
          .filter(({ record }) => record.xid === xid)
          .map(({ record }) => place(record)),
      ),
    lastRecord: (timeline, segment) =>
      Promise.resolve(recordsIn(archive, timeline, segment).at(-1)?.start as Lsn | undefined),
  };
}
