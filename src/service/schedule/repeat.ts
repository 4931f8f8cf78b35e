import type { JobRecord, ScheduleState } from '../../../catalog/catalog.ts';
import { ERRORS } from '../../errors.ts';

/** How often one planned run is begun at most. */
const MOST_ATTEMPTS = 3;
/** Between the end of an attempt and the next one. */
const PAUSES_MS = [60_000, 300_000] as const;

/**
 * From when on (milliseconds since 1970) a run whose job has failed may be begun once more: at once when the service ended
 * under it, after a pause when what failed may pass. What an operator cancelled is not.
 */
export function repeatAt(
  { attempts }: Pick<ScheduleState, 'attempts'>,
  job: JobRecord | undefined,
): number | undefined {
  if (job?.state !== 'failed' || job.finishedAt === undefined || attempts >= MOST_ATTEMPTS) return undefined;
  const { error } = job;
  if (error === undefined || !Object.hasOwn(ERRORS, error.code) || !ERRORS[error.code].retryable) return undefined;
  const pause = error.code === 'INTERRUPTED' ? 0 : (PAUSES_MS[attempts - 1] ?? 0);
  return Math.ceil(job.finishedAt / 1000) + pause;
}
