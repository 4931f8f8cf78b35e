import type { Command } from 'commander';
import type { ClusterConfig, Config } from '../config/config.ts';
import { CONFIG_FLAG, CONFIG_VARIABLE } from '../config/option-table.ts';
import { WaldenError } from '../errors.ts';
import type { OfflineSource, OfflineWalden } from '../service/offline.ts';
import type { ApiClient } from './api-client.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { StoreAccess } from '../../storage-drivers/registry.ts';
import type { ObservedCall } from '../../storage-drivers/with-observer.ts';
import type { Cli } from './cli.ts';

/** Options that many commands share, and what they lead to: the configuration, the service, or a bare repository. */

export interface ConfigOptions {
  readonly config?: string;
}

export interface ServiceOptions extends ConfigOptions {
  readonly socket?: string;
}

export interface AsOfOptions extends ConfigOptions {
  readonly asOf?: string;
}

export interface OfflineOptions extends ServiceOptions, AsOfOptions {
  readonly repositoryPath?: string;
  readonly keyFile?: readonly string[];
  readonly repository?: string;
}

export function addConfigOption(command: Command): Command {
  return command
    .option(`${CONFIG_FLAG} <file>`, `configuration file (default: $${CONFIG_VARIABLE}, else /etc/walden/walden.toml)`)
    .option('--json', 'print one JSON document');
}

export function addServiceOptions(command: Command): Command {
  return addConfigOption(command).option('--socket <path>', 'socket of the service (default: from the configuration)');
}

/** For what reads repositories of the configuration. */
export function addAsOfOption(command: Command): Command {
  return command.option(
    '--as-of <time>',
    "read the repository as it was at a moment, like '2 hours ago' (a bucket that keeps versions)",
  );
}

export function addOfflineOptions(command: Command): Command {
  return addAsOfOption(
    addServiceOptions(command)
      .option('--repository <name>', 'work without a service, straight from this repository of the configuration')
      .option('--repository-path <directory>', 'the same without a configuration')
      .option(
        '--key-file <file>',
        'with --repository-path: a key that opens it, if it is encrypted; may be repeated',
        collect,
      ),
  );
}

/** For an option that may be repeated. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
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

/** One cluster of a configuration. @throws NOT_FOUND naming those there are */
export function clusterOf(config: Config, name: string): ClusterConfig {
  const cluster = [...config.clusters.values()].find((one) => one.name === name);
  if (cluster !== undefined) return cluster;
  throw new WaldenError('NOT_FOUND', `there is no cluster ${JSON.stringify(name)}`, {
    hint: `the configuration has: ${[...config.clusters.keys()].join(', ')}`,
  });
}

/** A client for the service; nothing is sent yet. @throws CONFIG_INVALID */
export async function connect(cli: Cli, options: ServiceOptions): Promise<ApiClient> {
  const { ApiClient } = await import('./api-client.ts');
  return new ApiClient(options.socket ?? (await readConfig(cli, options)).service.socket);
}

/** Whether the command line asks to work without a service. @throws USAGE for what cannot stand together */
export function isOffline({ repositoryPath, keyFile, repository, asOf, config, socket }: OfflineOptions): boolean {
  if (repositoryPath !== undefined && [config, socket, repository, asOf].some((option) => option !== undefined)) {
    throw new WaldenError(
      'USAGE',
      '--repository-path cannot stand beside --config, --socket, --repository or --as-of',
      { hint: 'with --repository-path that directory alone answers: leave the others out' },
    );
  }
  if (repository !== undefined && socket !== undefined) {
    throw new WaldenError('USAGE', '--repository cannot stand beside --socket', {
      hint: 'with --repository no service is asked: leave --socket out',
    });
  }
  if (repositoryPath === undefined && keyFile !== undefined) {
    throw new WaldenError('USAGE', '--key-file needs --repository-path', {
      hint: 'a repository of the configuration has its keys in its key_directory',
    });
  }
  if (repository === undefined && asOf !== undefined) {
    throw new WaldenError('USAGE', '--as-of needs --repository', { hint: 'name the repository to read' });
  }
  return repositoryPath !== undefined || repository !== undefined;
}

/** Opens the repository that the options name, for `isOffline` options, and closes it after `work`. */
export async function withRepository<T>(
  cli: Cli,
  { repositoryPath, keyFile, repository, asOf, ...options }: OfflineOptions & { readonly workers?: number | undefined },
  work: (walden: OfflineWalden) => Promise<T>,
): Promise<T> {
  const source: OfflineSource =
    repository === undefined
      ? { path: repositoryPath ?? '', keyFiles: keyFile ?? [] }
      : { config: await readConfig(cli, options), name: repository, asOf };
  const { openOffline } = await import('../compose.ts');
  const walden: OfflineWalden = await openOffline({ source, workers: options.workers, note: noteBy(cli) });
  try {
    return await work(walden);
  } finally {
    await walden.close();
  }
}

function noteBy(cli: Cli): (text: string) => void {
  return (text) => {
    cli.remark(`WARNING: ${text}`);
  };
}

/** Opens one repository of the configuration, without the service, and closes it after `work`. @throws NOT_FOUND */
export async function withConfiguredRepository(
  cli: Cli,
  options: AsOfOptions,
  name: string,
  use: { readonly access: StoreAccess; readonly observe?: (call: ObservedCall) => void },
  work: (driver: StorageDriver) => Promise<void>,
): Promise<void> {
  const config = await readConfig(cli, options);
  const { momentOf } = await import('../compose.ts');
  const { openConfiguredStore } = await import('../open-stores.ts');
  const driver = await openConfiguredStore(config, name, { ...use, asOf: momentOf(options.asOf, noteBy(cli)) });
  try {
    await work(driver);
  } finally {
    await driver.close();
  }
}
