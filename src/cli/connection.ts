import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { CONFIG_FLAG, CONFIG_VARIABLE } from '../config/option-table.ts';
import { WaldenError } from '../errors.ts';
import type { OfflineWalden } from '../service/offline.ts';
import type { ApiClient } from './api-client.ts';
import type { Cli } from './cli.ts';

/** Options that many commands share, and what they lead to: the configuration, the service, or a bare repository. */

export interface ConfigOptions {
  readonly config?: string;
}

export interface ServiceOptions extends ConfigOptions {
  readonly socket?: string;
}

export interface OfflineOptions extends ServiceOptions {
  readonly repositoryPath?: string;
}

export function addConfigOption(command: Command): Command {
  return command
    .option(`${CONFIG_FLAG} <file>`, `configuration file (default: $${CONFIG_VARIABLE}, else /etc/walden/walden.toml)`)
    .option('--json', 'print one JSON document');
}

export function addServiceOptions(command: Command): Command {
  return addConfigOption(command).option('--socket <path>', 'socket of the service (default: from the configuration)');
}

export function addOfflineOptions(command: Command): Command {
  return addServiceOptions(command).option(
    '--repository-path <directory>',
    'work without a service, straight from this repository',
  );
}

/** @throws CONFIG_INVALID */
export async function readConfig(
  cli: Cli,
  options: ConfigOptions,
  checkPaths: boolean | 'own' = false,
): Promise<Config> {
  const { configPath, loadConfig } = await import('../config/load-config.ts');
  return await loadConfig({ path: configPath(options.config, cli.world.environment[CONFIG_VARIABLE]), checkPaths });
}

/** A client for the service; nothing is sent yet. @throws CONFIG_INVALID */
export async function connect(cli: Cli, options: ServiceOptions): Promise<ApiClient> {
  const { ApiClient } = await import('./api-client.ts');
  return new ApiClient(options.socket ?? (await readConfig(cli, options)).service.socket);
}

/** Whether the command line asks to work without a service. @throws USAGE for both at once */
export function isOffline<T extends OfflineOptions>(options: T): options is T & { readonly repositoryPath: string } {
  if (options.repositoryPath === undefined) return false;
  if (options.socket === undefined && options.config === undefined) return true;
  throw new WaldenError('USAGE', '--repository-path cannot stand beside --config or --socket', {
    hint: 'with --repository-path the repository alone answers: leave the others out',
  });
}

/** Loads a catalog from the repository into memory and closes it after `work`. */
export async function withRepository<T>(
  cli: Cli,
  options: { readonly repositoryPath: string; readonly workers?: number | undefined },
  work: (walden: OfflineWalden) => Promise<T>,
): Promise<T> {
  const { openOffline } = await import('../compose.ts');
  const walden: OfflineWalden = await openOffline({
    ...options,
    note: (text) => {
      cli.remark(`WARNING: ${text}`);
    },
  });
  try {
    return await work(walden);
  } finally {
    await walden.close();
  }
}
