import { isWaldenError } from '../errors.ts';
import type { JobDocument } from '../service/api.ts';
import type { EventListDocument, JobListDocument } from '../service/watch-api.ts';
import type { ApiClient } from './api-client.ts';
import { queryPath } from './api-paths.ts';
import type { Cli } from './cli.ts';
import { renderEvents } from './render/events.ts';
import { jobLine, renderJobList } from './render/jobs.ts';

const POLL_MS = 1000;
const PAGE = 1000;

/** Tells each job that begins or ends, until it is interrupted. */
export async function followJobs(cli: Cli, client: ApiClient, path: string, first: JobListDocument): Promise<void> {
  const told = new Map<string, JobDocument['state']>();
  const tell = (job: JobDocument): void => {
    print(cli, job, jobLine);
  };
  if (!cli.json) cli.print(renderJobList(first, cli.clock.now(), cli.columns));
  for (const job of first.jobs.toReversed()) {
    if (cli.json) tell(job);
    told.set(job.id, job.state);
  }
  await repeat(cli, async () => {
    const { jobs } = await client.get<JobListDocument>(path);
    for (const job of jobs.toReversed()) {
      if (told.get(job.id) === job.state) continue;
      told.set(job.id, job.state);
      tell(job);
    }
  });
}

/** Tells each event, those of `first` before the others, until it is interrupted. */
export async function followEvents(
  cli: Cli,
  client: ApiClient,
  cluster: string | undefined,
  first: EventListDocument,
): Promise<void> {
  let after = 0;
  const tell = ({ events }: EventListDocument): void => {
    for (const event of events) print(cli, event, (document) => renderEvents([document]));
    after = events.at(-1)?.id ?? after;
  };
  tell(first);
  await repeat(cli, async () => {
    tell(await client.get(queryPath('/v1/events', { cluster, after: String(after), limit: String(PAGE) })));
  });
}

function print<T extends object>(cli: Cli, document: T, render: (document: T) => string): void {
  cli.print(cli.json ? JSON.stringify({ format: 1, ...document }) : render(document));
}

/** A service that is started anew is waited for. */
async function repeat(cli: Cli, look: () => Promise<void>): Promise<void> {
  const interruption = cli.interruption();
  let wasAway = false;
  while (!interruption.aborted) {
    try {
      await look();
      wasAway = false;
    } catch (error) {
      if (!isWaldenError(error, 'SERVICE_UNREACHABLE')) throw error;
      if (!wasAway) cli.remark(`${error.message}; waiting for it`);
      wasAway = true;
    }
    // The signal wakes it: the loop looks at that.
    await cli.clock.sleep(POLL_MS, interruption).catch(() => undefined);
  }
}
