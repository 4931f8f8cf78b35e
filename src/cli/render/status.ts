import type { ClusterStatusDocument, RecoverableWindowDocument, StatusDocument } from '../../service/api.ts';
import { backupSummary } from './backups.ts';
import { runningLines } from './jobs.ts';
import { receiverLines } from './receiver.ts';
import { count, formatAge, formatDuration, formatMoment, secondsBetween } from './units.ts';
import { verificationLines } from './verify.ts';
import { describeRun } from './wal.ts';
import { placeText, secondWriterLines } from './writers.ts';

type RepositoryStatus = ClusterStatusDocument['repositories'][number];

/** In plain words: from when to when each cluster can be restored, and what stands in the way. */
export function renderStatus(status: StatusDocument, now: Date): string {
  const incomplete =
    status.catalogRebuild === null
      ? []
      : [`The catalog was lost, and is not rebuilt yet (job ${status.catalogRebuild}): this is not all that there is.`];
  const clusters = status.clusters.map((cluster) => clusterLines(cluster, now).join('\n'));
  return [...incomplete, ...(clusters.length === 0 ? ['no clusters'] : clusters)].join('\n\n');
}

function clusterLines(cluster: ClusterStatusDocument, now: Date): string[] {
  const several = cluster.repositories.length > 1;
  return [
    titleOf(cluster),
    ...cluster.repositories.flatMap((repository) => [
      ...(several
        ? [`  In repository ${repository.name}${repository.required ? '' : ', filled in the background'}:`]
        : []),
      ...repositoryLines(cluster.name, repository, now).map((line) => (several ? `  ${line}` : line)),
    ]),
    ...(cluster.receiver === null ? [] : receiverLines(cluster.name, cluster.receiver, now)),
    ...waitingLines(cluster.wal, now),
    ...writerLines(cluster.wal.writer),
    ...cluster.wal.secondWriters.flatMap((second) => secondWriterLines(second, now)),
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
                ...(repository.verification.damagedObjects > 0
                  ? []
                  : ['    If it has backups, the catalog was lost: walden catalog rebuild']),
              ]
            : []),
        ]
      : windows.flatMap(windowLines);
  return [
    ...recoverable,
    ...missingLines(repository, cluster),
    `  Last backup: ${lastBackup === null ? 'none' : backupSummary(lastBackup, now)}`,
    `  Last WAL: ${lastArchived === null ? 'none' : `${lastArchived.name}, archived ${formatAge(lastArchived.at, now)}`}`,
    ...verificationLines(repository.verification, cluster, now),
    ...lagLines(repository, now),
    ...failureLines(repository, now),
  ];
}

/** What is told as a hole of a window stands there. */
function missingLines({ missing = [], windows }: RepositoryStatus, cluster: string): string[] {
  const told = new Set(windows.flatMap(({ holes }) => holes.map(({ first, last }) => `${first} ${last}`)));
  const lines = missing.filter(({ first, last }) => !told.has(`${first} ${last}`));
  return [
    ...lines.map((run) => `    MISSING: ${describeRun(run)} not there, and nothing later is recovered`),
    ...(lines.length === 0 ? [] : [`      HINT: walden wal repair ${cluster} fetches it from the nodes that have it`]),
  ];
}

function lagLines({ lag }: RepositoryStatus, now: Date): string[] {
  if (lag === null) return [];
  const behind = [
    ...(lag.walFiles === 0 ? [] : [count(lag.walFiles, 'WAL file')]),
    ...(lag.backups === 0 ? [] : [count(lag.backups, 'backup')]),
  ];
  if (behind.length === 0) return ['  Behind the others: by nothing'];
  const age = lag.oldestAt === null ? '' : `, the oldest from ${formatAge(lag.oldestAt, now)}`;
  return [`  Behind the others: by ${behind.join(' and ')}${age}`];
}

function failureLines({ failure }: RepositoryStatus, now: Date): string[] {
  if (failure === null) return [];
  const { error, since } = failure;
  return [
    `  TROUBLE, first noticed ${formatAge(since, now)}: ${error.message} (${error.code})`,
    `    HINT: ${error.hint}`,
  ];
}

/** A window as a promise in words, then what breaks it. */
export function windowLines(window: RecoverableWindowDocument): string[] {
  const { timeline, earliest, latest, earliestLsn, latestLsn, backup, holes, points } = window;
  const [oldest] = points;
  const end =
    latest === null
      ? 'only, the end of its backup: no later commit'
      : `to ${formatMoment(latest)}, ${formatDuration(Math.max(0, secondsBetween(earliest, latest)))}`;
  return [
    `  Recoverable on timeline ${timeline}:`,
    `    from ${formatMoment(earliest)} ${end}`,
    `    LSN ${earliestLsn} to ${latestLsn}, beginning with backup ${backup}`,
    ...(oldest === undefined
      ? []
      : [`    and to the ends of ${count(points.length, 'older backup')}, the oldest of ${formatMoment(oldest.at)}`]),
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

function writerLines(writer: ClusterStatusDocument['wal']['writer']): string[] {
  return writer === null ? [] : [`  Writer of timeline ${writer.timeline}: ${placeText(writer.node)}`];
}

function refusalLines(refusals: ClusterStatusDocument['wal']['refusals'], now: Date): string[] {
  return refusals.flatMap(({ name, error, firstAt, lastAt, attempts }) => [
    `  REFUSED: ${name}`,
    `    ${count(attempts, 'attempt')}, first ${formatAge(firstAt, now)}, last ${formatAge(lastAt, now)}`,
    `    ${error.message} (${error.code})`,
    `    HINT: ${error.hint}`,
  ]);
}
