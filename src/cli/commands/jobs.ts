import type { Command } from 'commander';
import type { JobListDocument } from '../../service/watch-api.ts';
import { queryPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';
import { renderJobList } from '../render/jobs.ts';

interface JobsOptions extends ServiceOptions {
  readonly follow?: boolean;
  readonly limit: number;
}

export function defineJobs(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('[cluster]', 'one cluster (default: all)')
    .description(
      'Shows the jobs of the service: what is scheduled next, what runs, and what ran, with sizes and rates.',
    )
    .option('--limit <number>', 'the newest so many', wholeNumber(1, 10_000), 100)
    .option(
      '--follow',
      'go on until it is interrupted, with a line (--json: a document) for each job that begins or ends',
    )
    .addHelpText('after', example('walden jobs', 'walden jobs main --follow'))
    .action(async (cluster: string | undefined) => {
      const { follow, limit, ...options } = command.optsWithGlobals<JobsOptions>();
      const client = await connect(cli, options);
      const path = queryPath('/v1/jobs', { cluster, limit: String(limit) });
      const list = await client.get<JobListDocument>(path);
      if (follow === true) {
        const { followJobs } = await import('../follow-log.ts');
        await followJobs(cli, client, path, list);
      } else {
        cli.result(list, (document) => renderJobList(document, cli.clock.now(), cli.columns));
      }
    });
}
