import type { Command } from 'commander';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';

export function defineScriptConfig(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Prints archive_command and restore_command to paste into postgresql.conf, and the shell variables that the scripts read.',
    )
    .addHelpText('after', example('walden script-config main'))
    .action(async (cluster: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const text = await client.text(clusterPath(cluster, 'script-config'));
      cli.result({ cluster, text }, () => text.trimEnd());
    });
}
