import type { ClusterStatusDocument, RecoverableWindowDocument, StatusDocument } from '../../service/api.ts';
import { backupSummary } from './backups.ts';
import { runningLines } from './jobs.ts';
import { count, formatAge, formatDuration, formatMoment, secondsBetween } from './units.ts';
import { describeRun } from './wal.ts';

type RepositoryStatus = ClusterStatusDocument['repositories'][number];

/** In plain words: from when to when each cluster can be restored, and what stands in the way. */
export function renderStatus(status: StatusDocument, now: Date): string {
  if (status.clusters.length === 0) return 'no clusters';
  return status.clusters.map((cluster) => clusterLines(cluster, now).join('\n')).join('\n\n');
}

function clusterLines(cluster: ClusterStatusDocument, now: Date): string[] {
  const several = cluster.repositories.length > 1;
  return [
    titleOf(cluster),
    ...cluster.repositories.flatMap((repository) => [
      ...(several ? [`  In repository ${repository.name}:`] : []),
      ...repositoryLines(cluster.name, repository, now).map((line) => (several ? `  ${line}` : line)),
    ]),
    ...waitingLines(cluster.wal, now),
    ...refusalLines(cluster.wal.refusals, now),
    ...cluster.jobs.filter(({ state }) => state === 'running').flatMap((job) => runningLines(job, now)),
  ];
}

function titleOf({ name, majorVersion, systemIdentifier }: ClusterStatusDocument): string {
  if (majorVersion === null || systemIdentifier === null) return `${name}: nothing is known of it yet`;
  return `${name}: PostgreSQL ${majorVersion}, system identifier ${systemIdentifier}`;
}

function repositoryLines(cluster: string, repository: RepositoryStatus, now: Date): string[] {
  const { windows, lastBackup, lastArchived } = repository;
  const recoverable =
    windows.length === 0
      ? [
          '  Not recoverable: there is no complete backup with all of its WAL',
          ...(lastBackup === null
            ? [
                `    HINT: take one with: walden backup ${cluster}`,
                '    If it has backups, the catalog was lost: walden catalog rebuild',
              ]
            : []),
        ]
      : windows.flatMap(windowLines);
  return [
    ...recoverable,
    `  Last backup: ${lastBackup === null ? 'none' : backupSummary(lastBackup, now)}`,
    `  Last WAL: ${lastArchived === null ? 'none' : `${lastArchived.name}, archived ${formatAge(lastArchived.at, now)}`}`,
  ];
}

/** A window as a promise in words, then what breaks it. */
export function windowLines(window: RecoverableWindowDocument): string[] {
  const { timeline, earliest, latest, earliestLsn, latestLsn, backup, holes } = window;
  const end =
    latest === null
      ? 'only, the end of its backup: no later commit'
      : `to ${formatMoment(latest)}, ${formatDuration(Math.max(0, secondsBetween(earliest, latest)))}`;
  return [
    `  Recoverable on timeline ${timeline}:`,
    `    from ${formatMoment(earliest)} ${end}`,
    `    LSN ${earliestLsn} to ${latestLsn}, beginning with backup ${backup}`,
    ...holes.flatMap((hole) => [
      `    HOLE: ${describeRun(hole)} missing`,
      '      no backup before it reaches a moment after it',
    ]),
  ];
}

function waitingLines({ ready, oldestReadyAt }: ClusterStatusDocument['wal'], now: Date): string[] {
  if (ready === null) return ['  WAL that waits: unknown, pg_wal/archive_status cannot be read'];
  if (ready === 0) return ['  WAL that waits: none'];
  const age = oldestReadyAt === null ? '' : `, the oldest from ${formatAge(oldestReadyAt, now)}`;
  return [`  WAL that waits: ${count(ready, 'file')}${age}`];
}

function refusalLines(refusals: ClusterStatusDocument['wal']['refusals'], now: Date): string[] {
  return refusals.flatMap(({ name, error, firstAt, lastAt, attempts }) => [
    `  REFUSED: ${name}`,
    `    ${count(attempts, 'attempt')}, first ${formatAge(firstAt, now)}, last ${formatAge(lastAt, now)}`,
    `    ${error.message} (${error.code})`,
    `    HINT: ${error.hint}`,
  ]);
}
