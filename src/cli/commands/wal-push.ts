import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ClusterConfig } from '../../config/config.ts';
import { isWaldenError, systemErrorCode, WaldenError } from '../../errors.ts';
import { currentServerRun } from '../../postgres/server-run.ts';
import { clusterName } from '../../repository/names.ts';
import { nodeHeaders } from '../../wal/wal-node.ts';
import { clusterPath } from '../api-paths.ts';
import { ApiClient } from '../api-client.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';

export function defineWalPush(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<path>', "the WAL file: PostgreSQL's %p")
    .description(
      'Archives one WAL file, as bin/walden-push does without Node. Status 0: durable in every repository; 1 to 125: not.',
    )
    .addHelpText('after', example("archive_command = 'walden wal push main %p'"))
    .action(async (cluster: string, path: string) => {
      await pushWal(cli, cluster, path, command.optsWithGlobals<ConfigOptions>());
    });
}

async function pushWal(cli: Cli, cluster: string, path: string, options: ConfigOptions): Promise<void> {
  const { clusters, service } = await readConfig(cli, options);
  const config = clusters.get(clusterName(cluster));
  if (config === undefined) {
    throw new WaldenError('NOT_FOUND', `there is no cluster ${cluster}`, {
      hint: `the configuration has: ${[...clusters.keys()].join(', ')}`,
    });
  }
  const name = basename(path);
  const file = resolve(cli.world.workingDirectory, path);
  const own = await isOwn(cli, config, file, name);
  if (own && (await isAcknowledged(config, file, name))) return;
  const client = new ApiClient(service.socket);
  const seconds = config.walPushTimeoutSeconds;
  const deadline = { deadlineSeconds: seconds };
  try {
    if (own) await client.post(clusterPath(cluster, 'wal', name, 'push'), undefined, deadline);
    else {
      const headers = await bearerHeaders(cli, path, name);
      await client.upload(clusterPath(cluster, 'wal', name), file, await sizeOf(file), { ...deadline, headers });
    }
  } catch (error) {
    if (!isWaldenError(error, 'SERVICE_UNREACHABLE') || error.details['timedOut'] !== true) throw error;
    throw new WaldenError('ARCHIVE_TIMEOUT', `no answer for ${name} within ${seconds} s`, {
      hint: 'PostgreSQL asks again by itself; see: walden status',
      cause: error,
    });
  }
}

/** Who brings it, where PostgreSQL runs this in a data directory; by an operator's hand, nobody is told. */
async function bearerHeaders(cli: Cli, path: string, name: string): Promise<Readonly<Record<string, string>>> {
  const directory = cli.world.workingDirectory;
  const isOfServer = path === `pg_wal/${name}` && (await status(join(directory, 'PG_VERSION'))) !== undefined;
  return isOfServer ? await nodeHeaders(directory) : {};
}

/**
 * Whether the file stands in the configured data directory, so that the service can read it and acknowledgements hold:
 * a restored copy that kept its archive_command has files of the same names with other bytes.
 */
async function isOwn(cli: Cli, config: ClusterConfig, file: string, name: string): Promise<boolean> {
  if (file !== join(resolve(cli.world.workingDirectory), 'pg_wal', name)) return false;
  const { dataDirectory } = config;
  if (dataDirectory === undefined) return false;
  const [here, data] = await Promise.all([status(cli.world.workingDirectory), status(dataDirectory)]);
  return here !== undefined && data !== undefined && here.dev === data.dev && here.ino === data.ino;
}

/** An acknowledgement older than the file, or given to another run of the server, is for an earlier file of this name. */
async function isAcknowledged(config: ClusterConfig, file: string, name: string): Promise<boolean> {
  const path = join(config.spoolDirectory, 'push', `${name}.ok`);
  const [acknowledgement, segment] = await Promise.all([status(path), status(file)]);
  if (acknowledgement === undefined) return false;
  if (segment !== undefined && segment.mtimeNs > acknowledgement.mtimeNs) return false;
  if (config.dataDirectory === undefined) return false;
  const run = await currentServerRun(config.dataDirectory);
  // An acknowledgement that cannot be read acknowledges nothing.
  return run !== undefined && (await readFile(path, 'utf8').catch(() => '')) === `${run}\n`;
}

async function sizeOf(file: string): Promise<number> {
  const found = await status(file);
  if (found !== undefined) return Number(found.size);
  throw new WaldenError('LOCAL_IO', `unable to archive ${file}: it does not exist`);
}

async function status(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new WaldenError('LOCAL_IO', `unable to look at ${path} (${code ?? 'unknown'})`, { cause: error });
  }
}
