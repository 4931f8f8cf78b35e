import type { BackupRecord } from '../../../catalog/catalog.ts';
import { isIncremental } from '../../repository/names.ts';
import type { ClusterLook } from '../watch/look.ts';
import type { GaugeRule } from './metric.ts';

type Rule = GaugeRule<ClusterLook>;
type Repository = ClusterLook['status']['repositories'][number];

const PER_REPOSITORY = ['cluster', 'repository'] as const;

/** Of each repository of the cluster; nothing where the value is not known. */
function perRepository(value: (repository: Repository, look: ClusterLook) => number | undefined): Rule['read'] {
  return function* (look) {
    for (const repository of look.status.repositories) {
      const known = value(repository, look);
      if (known !== undefined) yield [look.status.name, repository.name, known];
    }
  };
}

/** Of the cluster; nothing where the value is not known. */
function perCluster(value: (look: ClusterLook) => number | null | undefined): Rule['read'] {
  return function* (look) {
    const known = value(look);
    if (known !== undefined && known !== null) yield [look.status.name, known];
  };
}

/** Of the newest complete backup of each type in each repository. */
function perBackup(value: (facts: NonNullable<BackupRecord['facts']>, backup: BackupRecord) => number): Rule['read'] {
  return function* ({ status, backups }) {
    const newest = new Map<string, BackupRecord>();
    for (const backup of backups) newest.set(`${backup.repository} ${typeOf(backup)}`, backup);
    for (const backup of newest.values()) {
      if (backup.facts === undefined) continue;
      yield [status.name, backup.repository, typeOf(backup), value(backup.facts, backup)];
    }
  };
}

function typeOf({ id }: BackupRecord): 'full' | 'incremental' {
  return isIncremental(id) ? 'incremental' : 'full';
}

function seconds(moment: string): number {
  return Date.parse(moment) / 1000;
}

/** The window on the newest timeline. */
function windowOf({ windows }: Repository): Repository['windows'][number] | undefined {
  return windows.at(-1);
}

export const CLUSTER_GAUGES: readonly Rule[] = [
  {
    name: 'walden_recoverable_window_start_timestamp_seconds',
    help: 'Earliest moment that can be restored on the newest timeline; absent while nothing can be',
    labels: PER_REPOSITORY,
    read: perRepository((repository) => {
      const window = windowOf(repository);
      return window === undefined ? undefined : seconds(window.earliest);
    }),
  },
  {
    name: 'walden_recoverable_window_end_timestamp_seconds',
    help: 'Latest commit that can be restored on the newest timeline; absent while nothing can be',
    labels: PER_REPOSITORY,
    read: perRepository((repository) => {
      const window = windowOf(repository);
      return window === undefined ? undefined : seconds(window.latest ?? window.earliest);
    }),
  },
  {
    name: 'walden_recoverable_window_holes',
    help: 'Holes in the recoverable window of the newest timeline',
    labels: PER_REPOSITORY,
    read: perRepository((repository) => windowOf(repository)?.holes.length),
  },
  {
    name: 'walden_backups',
    help: 'Complete backups',
    labels: PER_REPOSITORY,
    read: perRepository(({ name }, { backups }) => backups.filter(({ repository }) => repository === name).length),
  },
  {
    name: 'walden_backup_last_success_timestamp_seconds',
    help: 'When the newest complete backup of the type began',
    labels: [...PER_REPOSITORY, 'type'],
    read: perBackup((_facts, { startedAt }) => startedAt / 1_000_000),
  },
  {
    name: 'walden_backup_last_duration_seconds',
    help: 'How long the newest complete backup of the type took',
    labels: [...PER_REPOSITORY, 'type'],
    read: perBackup(({ finishedAt }, { startedAt }) => Math.max(0, finishedAt - startedAt) / 1_000_000),
  },
  {
    name: 'walden_backup_last_size_bytes',
    help: 'Size of the newest complete backup of the type, before compression',
    labels: [...PER_REPOSITORY, 'type'],
    read: perBackup(({ plainBytes }) => plainBytes),
  },
  {
    name: 'walden_backup_last_stored_bytes',
    help: 'What the newest complete backup of the type takes in the repository',
    labels: [...PER_REPOSITORY, 'type'],
    read: perBackup(({ storedBytes }) => storedBytes),
  },
  {
    name: 'walden_backup_last_corrupt_pages',
    help: 'Corrupt pages of the cluster that the newest complete backup of the type found',
    labels: [...PER_REPOSITORY, 'type'],
    read: perBackup(({ corruptPages }) => corruptPages.reduce((sum, { blocks }) => sum + blocks.length, 0)),
  },
  {
    name: 'walden_damaged_objects',
    help: 'Stored objects that verification found damaged or missing, and that are not right again',
    labels: PER_REPOSITORY,
    read: perRepository(({ verification }) => verification.damagedObjects),
  },
  {
    name: 'walden_verification_oldest_timestamp_seconds',
    help: 'When what was verified longest ago was verified; absent while anything never was',
    labels: PER_REPOSITORY,
    read: perRepository(({ verification: { oldestAt, neverSegments, neverBackups } }) =>
      oldestAt === null || neverSegments + neverBackups > 0 ? undefined : seconds(oldestAt),
    ),
  },
  {
    name: 'walden_drill_last_success_timestamp_seconds',
    help: 'When the newest drill that passed ended',
    labels: ['cluster'],
    read: perCluster(({ passedDrill }) => passedDrill && passedDrill.finishedAt / 1_000_000),
  },
  {
    name: 'walden_drill_last_duration_seconds',
    help: 'How long the newest drill that passed took, restore and recovery',
    labels: ['cluster'],
    read: perCluster(({ passedDrill }) => passedDrill && (passedDrill.finishedAt - passedDrill.startedAt) / 1_000_000),
  },
  {
    name: 'walden_wal_last_archived_timestamp_seconds',
    help: 'When the newest WAL file was stored',
    labels: PER_REPOSITORY,
    read: perRepository(({ lastArchived }) => (lastArchived === null ? undefined : seconds(lastArchived.at))),
  },
  {
    name: 'walden_wal_gap_segments',
    help: 'Segments that are missing between others',
    labels: PER_REPOSITORY,
    read: perRepository(({ name }, { gaps }) =>
      gaps.filter(({ repository }) => repository === name).reduce((sum, { segments }) => sum + segments, 0),
    ),
  },
  {
    name: 'walden_wal_ready_files',
    help: 'WAL files that PostgreSQL waits to have archived; absent where its directory cannot be read',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.wal.ready),
  },
  {
    name: 'walden_wal_archive_lag_seconds',
    help: 'Age of the oldest WAL file that PostgreSQL waits to have archived; 0 where none waits',
    labels: ['cluster'],
    read: perCluster(({ status: { wal }, at }) => {
      if (wal.ready === null) return undefined;
      return wal.oldestReadyAt === null ? 0 : Math.max(0, at.getTime() / 1000 - seconds(wal.oldestReadyAt));
    }),
  },
  {
    name: 'walden_wal_refused_files',
    help: 'WAL files that were refused and still wait',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.wal.refusals.length),
  },
  {
    name: 'walden_wal_second_writers',
    help: 'Nodes whose WAL is refused because another node writes the timeline',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.wal.secondWriters.length),
  },
  {
    name: 'walden_receiver_streaming',
    help: 'Whether WAL is received over the replication protocol (1) or not (0); absent where none is configured',
    labels: ['cluster'],
    read: perCluster(({ status: { receiver } }) =>
      receiver === null ? undefined : Number(receiver.state === 'streaming'),
    ),
  },
  {
    name: 'walden_receiver_lag_bytes',
    help: 'WAL that the server has and the receiver has not',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.receiver?.lagBytes),
  },
  {
    name: 'walden_receiver_lag_seconds',
    help: 'Since when the receiver has not had all; 0 where nothing is missing',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.receiver?.lagSeconds),
  },
  {
    name: 'walden_receiver_retained_bytes',
    help: 'WAL that the slot of the receiver keeps on the server',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.receiver?.retainedBytes),
  },
  {
    name: 'walden_receiver_waiting_files',
    help: 'WAL files that were received and are not in every required repository yet',
    labels: ['cluster'],
    read: perCluster(({ status }) => status.receiver?.waitingFiles),
  },
  {
    name: 'walden_repository_behind_files',
    help: 'WAL files that a repository which is filled in the background lacks',
    labels: PER_REPOSITORY,
    read: perRepository(({ lag }) => lag?.walFiles),
  },
  {
    name: 'walden_repository_behind_backups',
    help: 'Backups that a repository which is filled in the background lacks',
    labels: PER_REPOSITORY,
    read: perRepository(({ lag }) => lag?.backups),
  },
  {
    name: 'walden_spool_bytes',
    help: 'What the files of the spool hold',
    labels: ['cluster'],
    read: perCluster(({ spool }) => spool?.bytes),
  },
  {
    name: 'walden_spool_free_bytes',
    help: 'What is free on the disk of the spool',
    labels: ['cluster'],
    read: perCluster(({ spool }) => spool?.freeBytes),
  },
  {
    name: 'walden_last_look_timestamp_seconds',
    help: 'When the service last looked how the cluster is doing: the other gauges of the cluster are from then',
    labels: ['cluster'],
    read: perCluster(({ at }) => at.getTime() / 1000),
  },
];
