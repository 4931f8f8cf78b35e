import type { JobRecord } from '../../../catalog/catalog.ts';
import type { BackupDocument } from '../api.ts';
import type { NewEvent } from './event-log.ts';

/** A larger result stays with its job: an event is read by many. */
const LONGEST_RESULT = 4096;
const LEVELS = { done: 'info', failed: 'error', cancelled: 'warning' } as const;

/** What is told of a job that has ended. @returns undefined while it runs */
export function jobEvent(job: JobRecord): NewEvent | undefined {
  const { id, kind, cluster, state, startedAt, finishedAt, error, result } = job;
  if (state === 'running') return undefined;
  const seconds = finishedAt === undefined ? undefined : Math.max(0, finishedAt - startedAt) / 1_000_000;
  const what = cluster === undefined ? kind : `${kind} of ${cluster}`;
  const text = JSON.stringify(result) as string | undefined;
  const facts = {
    job: id,
    jobKind: kind,
    ...(seconds === undefined ? {} : { seconds }),
    ...(error === undefined ? {} : { error }),
    ...(text === undefined || text.length > LONGEST_RESULT ? {} : { result }),
  };
  const event = { kind: `job-${state}`, subject: id, facts, ...(cluster === undefined ? {} : { cluster }) } as const;
  if (state === 'done' && kind === 'backup' && hasCorruptPages(result)) {
    const message = `${what} is done, but pages of the cluster are CORRUPT: the backup is kept, and marked`;
    return { ...event, level: 'error', message };
  }
  const told = {
    done: 'is done',
    failed: `failed: ${error?.message ?? 'for no known reason'}`,
    cancelled: 'was cancelled',
  };
  return { ...event, level: LEVELS[state], message: `${what} ${told[state]}` };
}

/** Of the backups that the job has taken. */
function hasCorruptPages(result: unknown): boolean {
  const { backups } = result as { readonly backups: readonly Pick<BackupDocument, 'facts'>[] };
  return backups.some(({ facts }) => facts !== null && facts.corruptPages.length > 0);
}
