import type { Command } from 'commander';
import type { JobDocument } from '../../service/api.ts';
import { jobPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderJob } from '../render/jobs.ts';

export function defineJobShow(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<id>', 'id of the job')
    .description('Shows one job with its progress or its outcome.')
    .addHelpText('after', example('walden job show 0d3c1f0e-6a55-4f0b-9c57-3f7a3b1d2e4c'))
    .action(async (id: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      cli.result(await client.get<JobDocument>(jobPath(id)), (job) => renderJob(job, cli.clock.now()));
    });
}
