import type { Command } from 'commander';
import { LOG_LEVEL_VARIABLE } from '../../config/option-table.ts';
import { ServiceManager } from '../../platform/service-manager.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';

export function defineService(command: Command, cli: Cli): void {
  addConfigOption(command)
    .description(
      'Runs the service in the foreground until SIGTERM or SIGINT; logs to stderr, one JSON object per line.',
    )
    .addHelpText('after', example('walden service --config /etc/walden/walden.toml'))
    .action(async () => {
      await runService(cli, command.optsWithGlobals<ConfigOptions>());
    });
}

async function runService(cli: Cli, options: ConfigOptions): Promise<void> {
  const interruption = cli.interruption();
  // Before anything is started that inherits the environment.
  const manager = new ServiceManager(cli.world.environment);
  const { createLogger } = await import('../../platform/logger.ts');
  const log = createLogger(cli.world.environment[LOG_LEVEL_VARIABLE] ?? 'info');
  // Data directories may be absent: on the day when they burned, the service must start to give them back.
  const config = await readConfig(cli, options, 'own');
  const { startWalden } = await import('../../compose.ts');
  const service = await startWalden(config, log);
  const notify = async (state: 'READY=1' | 'STOPPING=1'): Promise<void> => {
    const trouble = await manager.tell(state);
    if (trouble !== undefined) log.warn({ state, trouble }, 'unable to tell the service manager');
  };
  await notify('READY=1');
  await aborted(interruption);
  log.info('stopping');
  await notify('STOPPING=1');
  await service.stop();
  log.info('stopped');
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}
