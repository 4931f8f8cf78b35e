import { errorFromDocument, type ErrorDocument, isWaldenError, WaldenError } from '../errors.ts';
import type { JobDocument } from '../service/api.ts';
import type { ApiClient } from './api-client.ts';
import { jobPath } from './api-paths.ts';
import type { Cli } from './cli.ts';
import { createProgressBar } from './render/progress-bar.ts';

const POLL_MS = 250;
/** A service that restarts comes back within this many polls; its job is then told as failed. */
const MAX_MISSED_POLLS = 40;
/** Ending a job closes PostgreSQL's backup mode and removes what was stored. */
const CANCEL_SECONDS = 600;

/** Starts a job of the service. From here on a signal no longer ends this process but the job: see `followJob`. */
export async function startJob(cli: Cli, client: ApiClient, path: string, request?: object): Promise<JobDocument> {
  cli.interruption();
  const { job } = await client.post<{ readonly job: JobDocument }>(path, request);
  return job;
}

/**
 * Watches a job to its end, with progress on a terminal. The first SIGINT or SIGTERM cancels the job and waits for its
 * end; the second one leaves at once.
 * @throws what the job failed with; INTERRUPTED when it was cancelled
 */
export async function followJob(cli: Cli, client: ApiClient, started: JobDocument): Promise<JobDocument> {
  const interruption = cli.interruption();
  const bar = await createProgressBar(cli.world.stderr);
  let job = started;
  let cancelled = false;
  try {
    while (job.state === 'running') {
      bar.show(job);
      if (interruption.aborted && !cancelled) {
        cancelled = true;
        job = await cancel(cli, client, job);
      } else {
        await pause(cli, cancelled ? undefined : interruption);
        job = await poll(cli, client, job);
      }
    }
  } finally {
    bar.stop();
  }
  if (job.state === 'done') return job;
  throw failureOf(job);
}

/** What ended a job that is not done. */
export function failureOf(job: JobDocument): WaldenError {
  if (job.error !== null) return errorFromDocument(job.error as ErrorDocument);
  return new WaldenError('INTERRUPTED', `job ${job.id} was cancelled`);
}

async function pause(cli: Cli, interruption: AbortSignal | undefined): Promise<void> {
  try {
    await cli.clock.sleep(POLL_MS, interruption);
  } catch (error) {
    // Woken by the signal: the loop looks at it.
    if (interruption?.aborted !== true) throw error;
  }
}

async function cancel(cli: Cli, client: ApiClient, job: JobDocument): Promise<JobDocument> {
  cli.remark(`ending the ${job.kind}; interrupt again to leave it running`);
  return await client.post<JobDocument>(jobPath(job.id, 'cancel'), undefined, { deadlineSeconds: CANCEL_SECONDS });
}

async function poll(cli: Cli, client: ApiClient, job: JobDocument): Promise<JobDocument> {
  const interruption = cli.interruption();
  for (let missed = 0; ; missed += 1) {
    if (interruption.aborted && missed > 0) return job;
    try {
      return await client.get<JobDocument>(jobPath(job.id));
    } catch (error) {
      if (!isWaldenError(error, 'SERVICE_UNREACHABLE') || missed >= MAX_MISSED_POLLS) throw error;
      await pause(cli, interruption);
    }
  }
}
