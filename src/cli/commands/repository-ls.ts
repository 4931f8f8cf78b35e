import { once } from 'node:events';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addAsOfOption, addConfigOption, type AsOfOptions, withConfiguredRepository } from '../connection.ts';
import { example } from '../example.ts';

export function defineRepositoryLs(command: Command, cli: Cli): void {
  addAsOfOption(addConfigOption(command))
    .argument('<repository>', 'name of the repository')
    .argument('[prefix]', 'only objects whose key begins with this', '')
    .description('Lists the objects of a repository: stored bytes and key; with --json one document per line.')
    .addHelpText('after', example('walden repository ls offsite main/base/'))
    .action(async (name: string, prefix: string) => {
      const signal = cli.interruption();
      await withConfiguredRepository(
        cli,
        command.optsWithGlobals<AsOfOptions>(),
        name,
        { access: 'read-only' },
        async (driver) => {
          for await (const { key, size } of driver.list(prefix, { signal })) {
            const line = cli.json
              ? JSON.stringify({ format: 1, key, bytes: size })
              : `${String(size).padStart(15)}  ${key}`;
            if (!cli.world.stdout.write(`${line}\n`)) await once(cli.world.stdout, 'drain');
          }
        },
      );
    });
}
