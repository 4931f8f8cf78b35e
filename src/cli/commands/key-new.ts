import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';
import { madeKeyDocument, renderMadeKey } from '../render/keys.ts';

export function defineKeyNew(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<repository>', 'name of the repository')
    .description('Makes the first key of a repository that is to be encrypted, in its key_directory.')
    .addHelpText('after', example('walden key new offsite'))
    .action(async (name: string) => {
      const config = await readConfig(cli, command.optsWithGlobals<ConfigOptions>());
      const { openKeyRing } = await import('../../open-stores.ts');
      const keys = await openKeyRing(config, name);
      const made = await keys.make(cli.clock.now(), 'first');
      cli.result(madeKeyDocument(keys.options, made), renderMadeKey);
    });
}
