import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addAsOfOption, addConfigOption, type AsOfOptions, withConfiguredRepository } from '../connection.ts';
import { example } from '../example.ts';
import { renderRepositoryUsage } from '../render/repository.ts';

export function defineRepositoryDu(command: Command, cli: Cli): void {
  addAsOfOption(addConfigOption(command))
    .argument('<repository>', 'name of the repository')
    .description('Says how much WAL and backups take in a repository, by what the store lists.')
    .addHelpText('after', example('walden repository du offsite'))
    .action(async (name: string) => {
      const { repositoryUsage } = await import('../../repository/usage.ts');
      const signal = cli.interruption();
      await withConfiguredRepository(
        cli,
        command.optsWithGlobals<AsOfOptions>(),
        name,
        { access: 'read-only' },
        async (driver) => {
          const clusters = await repositoryUsage(driver, signal);
          cli.result({ repository: name, clusters }, (document) => renderRepositoryUsage(document, cli.columns));
        },
      );
    });
}
