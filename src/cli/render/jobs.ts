import type { BackupDocument, JobDocument } from '../../service/api.ts';
import type { JobListDocument, UpcomingDocument } from '../../service/watch-api.ts';
import { progressText } from './progress-bar.ts';
import { renderTable } from './table.ts';
import { formatAge, formatBytes, formatDuration, formatMoment, secondsBetween } from './units.ts';

/** What is to come, then what runs and what ran. */
export function renderJobList({ upcoming, jobs }: JobListDocument, now: Date, columns: number): string {
  const past =
    jobs.length === 0
      ? 'there are no jobs'
      : renderTable<JobDocument>(
          [
            { heading: 'JOB', cell: ({ id }) => id },
            { heading: 'KIND', cell: ({ kind }) => kind },
            { heading: 'CLUSTER', cell: ({ cluster }) => cluster ?? '' },
            { heading: 'STATE', cell: ({ state }) => state },
            { heading: 'STARTED', cell: ({ startedAt }) => formatAge(startedAt, now) },
            { heading: 'TOOK', right: true, cell: (job) => tookOf(job) },
            { heading: 'BYTES', right: true, cell: (job) => formatIfKnown(bytesOf(job), formatBytes) },
            { heading: 'RATE', right: true, cell: (job) => formatIfKnown(rateOf(job), formatRate) },
            { heading: 'NOTE', cell: outcomeOf },
          ],
          jobs,
          columns,
        );
  return upcoming.length === 0 ? past : `${renderUpcoming(upcoming, now, columns)}\n\n${past}`;
}

function renderUpcoming(upcoming: readonly UpcomingDocument[], now: Date, columns: number): string {
  return renderTable<UpcomingDocument>(
    [
      { heading: 'NEXT', cell: ({ at }) => (at === null ? 'never' : formatMoment(at)) },
      { heading: 'IN', right: true, cell: (run) => inOf(run, now) },
      { heading: 'SCHEDULE', cell: ({ schedule }) => schedule },
      { heading: 'RUNS', cell: ({ job }) => job },
      { heading: 'CLUSTER', cell: ({ cluster }) => cluster },
      { heading: 'CRON', cell: ({ cron, timeZone }) => `${cron} ${timeZone}` },
    ],
    upcoming,
    columns,
  );
}

function inOf({ at, waiting }: UpcomingDocument, now: Date): string {
  if (at === null) return '';
  return waiting ? 'waits' : formatDuration(secondsBetween(now.toISOString(), at));
}

/** `2026-11-22 14:03:05 UTC  backup of main is done after 34 s: 1.2 GiB, 36 MiB/s`. */
export function jobLine(job: JobDocument): string {
  const { kind, cluster, state, startedAt, finishedAt } = job;
  const what = cluster === null ? kind : `${kind} of ${cluster}`;
  if (finishedAt === null) return `${formatMoment(startedAt)}  ${what} begins, job ${job.id}`;
  const bytes = formatIfKnown(bytesOf(job), formatBytes);
  const facts = [bytes, formatIfKnown(rateOf(job), formatRate), outcomeOf(job)].filter((text) => text !== '');
  const end = `${formatMoment(finishedAt)}  ${what} is ${state} after ${tookOf(job)}`;
  return facts.length === 0 ? end : `${end}: ${facts.join(', ')}`;
}

/** Of the cluster, not as they are stored; undefined where a job does not say. */
function bytesOf({ result }: JobDocument): number | undefined {
  const { bytes, backups } = (result ?? {}) as {
    readonly bytes?: number;
    readonly backups?: readonly BackupDocument[];
  };
  // The same backup in each repository.
  return bytes ?? backups?.[0]?.facts?.plainBytes;
}

function rateOf(job: JobDocument): number | undefined {
  const bytes = bytesOf(job);
  const seconds = job.finishedAt === null ? 0 : secondsBetween(job.startedAt, job.finishedAt);
  return bytes === undefined || seconds <= 0 ? undefined : bytes / seconds;
}

function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

function formatIfKnown(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? '' : format(value);
}

export function renderJob(job: JobDocument, now: Date): string {
  const lines: (readonly [string, string])[] = [
    ['Job', job.id],
    ['Kind', job.cluster === null ? job.kind : `${job.kind} of ${job.cluster}`],
    ['State', job.state],
    ['Started', `${formatMoment(job.startedAt)} (${formatAge(job.startedAt, now)})`],
  ];
  if (job.finishedAt !== null) lines.push(['Finished', `${formatMoment(job.finishedAt)}, after ${tookOf(job)}`]);
  if (job.progress !== null) lines.push(['Progress', progressText(job.progress)]);
  if (job.error !== null) lines.push(['Error', `${job.error.message} (${job.error.code})`], ['Hint', job.error.hint]);
  return lines.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n');
}

/** `Running: backup of main, begun 3 min ago`, how far it is, and its id. */
export function runningLines(job: JobDocument, now: Date): string[] {
  const what = job.cluster === null ? job.kind : `${job.kind} of ${job.cluster}`;
  return [
    `  Running: ${what}, begun ${formatAge(job.startedAt, now)}`,
    ...(job.progress === null ? [] : [`    ${progressText(job.progress)}`]),
    `    job ${job.id}`,
  ];
}

function tookOf({ startedAt, finishedAt }: JobDocument): string {
  return finishedAt === null ? '' : formatDuration(secondsBetween(startedAt, finishedAt));
}

function outcomeOf({ progress, error }: JobDocument): string {
  if (progress !== null) return progressText(progress);
  return error === null ? '' : `${error.message} (${error.code})`;
}
