import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';
import { count } from '../render/units.ts';

export function defineConfigCheck(command: Command, cli: Cli): void {
  addConfigOption(command)
    .description('Checks the configuration file and whether its directories are there.')
    .addHelpText('after', example('walden config check --config ./walden.toml'))
    .action(async () => {
      const config = await readConfig(cli, command.optsWithGlobals<ConfigOptions>(), true);
      const document = {
        source: config.source,
        repositories: [...config.repositories.keys()],
        clusters: [...config.clusters.keys()],
      };
      cli.result(document, ({ source, repositories, clusters }) => {
        const places = repositories.length === 1 ? '1 repository' : `${repositories.length} repositories`;
        return `${source} is valid: ${places} (${repositories.join(', ')}), ${count(clusters.length, 'cluster')} (${clusters.join(', ')})`;
      });
    });
}
