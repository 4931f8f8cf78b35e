import type { Command } from 'commander';
import type { JobListDocument } from '../../service/api.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderJobList } from '../render/jobs.ts';

export function defineJobList(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .description('Lists the newest jobs of the service.')
    .addHelpText('after', example('walden job list'))
    .action(async () => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const list = await client.get<JobListDocument>('/v1/jobs');
      cli.result(list, (document) => renderJobList(document, cli.clock.now(), cli.columns));
    });
}
