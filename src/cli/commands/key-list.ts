import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';
import { keyListDocument, renderKeyList } from '../render/keys.ts';

export function defineKeyList(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<repository>', 'name of the repository')
    .description('Lists the keys of an encrypted repository and its further recipients; secrets are not shown.')
    .addHelpText('after', example('walden key list offsite'))
    .action(async (name: string) => {
      const config = await readConfig(cli, command.optsWithGlobals<ConfigOptions>());
      const { openKeyRing } = await import('../../open-stores.ts');
      const keys = await openKeyRing(config, name);
      cli.result(keyListDocument(keys.options, await keys.keys()), (document) => renderKeyList(document, cli.columns));
    });
}
