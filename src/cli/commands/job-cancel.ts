import type { Command } from 'commander';
import type { JobDocument } from '../../service/api.ts';
import { jobPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderJob } from '../render/jobs.ts';

/** Ending a backup waits for PostgreSQL. */
const DEADLINE_SECONDS = 600;

export function defineJobCancel(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<id>', 'id of the job')
    .description('Ends a job and waits until it has ended. A job that has ended before is left as it is.')
    .addHelpText('after', example('walden job cancel 0d3c1f0e-6a55-4f0b-9c57-3f7a3b1d2e4c'))
    .action(async (id: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const path = jobPath(id, 'cancel');
      const job = await client.post<JobDocument>(path, undefined, { deadlineSeconds: DEADLINE_SECONDS });
      cli.result(job, (document) => renderJob(document, cli.clock.now()));
    });
}
