import type { JobDocument, JobListDocument } from '../../service/api.ts';
import { progressText } from './progress-bar.ts';
import { renderTable } from './table.ts';
import { formatAge, formatDuration, formatMoment, secondsBetween } from './units.ts';

export function renderJobList({ jobs }: JobListDocument, now: Date, columns: number): string {
  if (jobs.length === 0) return 'there are no jobs';
  return renderTable<JobDocument>(
    [
      { heading: 'JOB', cell: ({ id }) => id },
      { heading: 'KIND', cell: ({ kind }) => kind },
      { heading: 'CLUSTER', cell: ({ cluster }) => cluster ?? '' },
      { heading: 'STATE', cell: ({ state }) => state },
      { heading: 'STARTED', cell: ({ startedAt }) => formatAge(startedAt, now) },
      { heading: 'TOOK', right: true, cell: (job) => tookOf(job) },
      { heading: 'NOTE', cell: outcomeOf },
    ],
    jobs,
    columns,
  );
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
