import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';

export function defineCatalogRebuild(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .description(
      'Builds the catalog anew from the repositories, puts it in place of the old one, and says what differed.',
    )
    .addHelpText('after', example('walden catalog rebuild'))
    .action(async () => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const job = await startJob(cli, client, '/v1/catalog/rebuild');
      const done = await followJob(cli, client, job);
      cli.result({ job: done }, () => {
        const { differences = [] } = done.result as { readonly differences?: readonly string[] };
        if (differences.length === 0) return 'the catalog was built anew; nothing differed';
        return ['the catalog was built anew; what differed:', ...differences.map((line) => `  ${line}`)].join('\n');
      });
    });
}
