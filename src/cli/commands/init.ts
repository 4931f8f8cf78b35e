import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CONFIG_VARIABLE } from '../../config/option-table.ts';
import { confirm } from '../ask.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions } from '../connection.ts';
import { example } from '../example.ts';
import type { SetupDocument } from '../render/setup.ts';

interface InitOptions extends ConfigOptions {
  readonly name?: string;
  readonly dataDirectory?: string;
  readonly repository?: string;
  readonly start?: true;
  readonly dryRun?: true;
  readonly yes?: true;
}

export function defineInit(command: Command, cli: Cli): void {
  addConfigOption(command)
    .option('--name <cluster>', 'what the cluster is to be called (default: main)')
    .option('--data-directory <directory>', 'which server, where several run')
    .option('--repository <directory>', 'where WAL and backups go (default: /var/lib/walden/repository)')
    .option('--start', 'where systemd does not run: start the service, for now')
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('--yes', 'do it without asking, with the first backup')
    .description(
      'Finds the server of this host, writes the configuration and the systemd unit, starts the service, sets up archiving and takes the first backup. Run again after a failure, it goes on where it stopped. PostgreSQL is never restarted.',
    )
    .addHelpText(
      'after',
      example('walden init --dry-run', 'walden init --repository /mnt/backup/walden', 'walden init --yes'),
    )
    .action(async () => {
      await initialise(cli, command.optsWithGlobals<InitOptions>());
    });
}

async function initialise(cli: Cli, options: InitOptions): Promise<void> {
  const { configPath } = await import('../../config/load-config.ts');
  const { planInit } = await import('../init/plan-init.ts');
  const { archive, firstBackup, installService, showInit, showStatus } = await import('../init/run-init.ts');
  const { workingDirectory, environment } = cli.world;
  const absolute = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(workingDirectory, path);
  const plan = await planInit({
    configFile: configPath(absolute(options.config), environment[CONFIG_VARIABLE]),
    name: options.name,
    dataDirectory: absolute(options.dataDirectory),
    repository: absolute(options.repository),
    start: options.start === true,
    environment,
  });
  const result = (settings: SetupDocument, backup: string | null): void => {
    if (!cli.json) return;
    const { config, cluster, server, start, newConfig, newUnit, notes } = plan;
    cli.result(
      {
        ...{ cluster: cluster.name, config: config.source, dataDirectory: server.dataDirectory },
        ...{ start, newConfig: newConfig ?? null, newUnit: newUnit ?? null, notes },
        ...{ dryRun: options.dryRun === true, setup: settings, backup },
      },
      () => '',
    );
  };
  const shown = await showInit(cli, plan);
  if (options.dryRun === true) {
    if (!cli.json) cli.print('nothing was changed');
    result(shown, null);
    return;
  }
  const isAnswered = options.yes === true;
  if (!(await confirm(cli, 'Do this?', { isAnswered }))) return;
  await installService(cli, plan);
  const settings = await archive(cli, plan);
  const backup = await firstBackup(cli, plan, isAnswered);
  if (!cli.json) await showStatus(cli, plan);
  result(settings, backup ?? null);
}
