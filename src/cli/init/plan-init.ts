import { parseConfig } from '../../config/load-config.ts';
import { scriptPath } from '../../config/command-line.ts';
import type { ClusterConfig, Config } from '../../config/config.ts';
import { isWaldenError, WaldenError } from '../../errors.ts';
import { clusterName } from '../../repository/names.ts';
import { configText, initPlaces } from '../../setup/init/places.ts';
import { assertProgramsReadable, checkSite } from '../../setup/init/refusals.ts';
import { unitText } from '../../setup/init/unit-text.ts';
import { groupName, userName } from '../../setup/init/user-name.ts';
import { packagedUnit, readIfThere, systemdRuns, UNIT_PATH } from '../../setup/init/write-files.ts';
import { ApiClient } from '../api-client.ts';
import type { PingDocument } from '../../service/api.ts';
import { clusterOfServer, findServer, type InitServer } from './site.ts';

const DEFAULT_NAME = 'main';
const PING_SECONDS = 5;

export interface InitOrder {
  readonly configFile: string;
  /** Undefined: that of an existing configuration, else `main`. */
  readonly name: string | undefined;
  readonly dataDirectory: string | undefined;
  readonly repository: string | undefined;
  readonly start: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Who runs the service: systemd, nobody but itself (`--start`), or the operator. */
export type ServiceStart = 'systemd' | 'detached' | 'by hand';

/** Everything that is known before anything is changed. */
export interface InitPlan {
  readonly server: InitServer;
  readonly config: Config;
  readonly cluster: ClusterConfig;
  /** The text of the configuration file; undefined: it is there already. */
  readonly newConfig: string | undefined;
  readonly start: ServiceStart;
  readonly serviceRuns: boolean;
  /** The text of the unit; undefined: one is there already, or none is needed. */
  readonly newUnit: string | undefined;
  readonly notes: readonly string[];
  readonly client: ApiClient;
}

/** @throws what makes it impossible or unsafe; nothing was changed */
export async function planInit(order: InitOrder): Promise<InitPlan> {
  const server = await findServer(order.dataDirectory, order.environment);
  await assertProgramsReadable(server.owner);
  const { config, cluster, newConfig } = await configOf(order, server);
  const repositories = [...config.repositories.values()].flatMap((one) => (one.driver === 'local' ? [one.path] : []));
  const notes: string[] = [];
  if (newConfig !== undefined) {
    const places = { ...initPlaces(order.configFile, order.repository), stateDirectory: config.service.stateDirectory };
    const { dataDirectory, databaseBytes } = server;
    notes.push(...(await checkSite({ places, dataDirectory, databaseBytes })));
  } else if (order.repository !== undefined && !repositories.includes(order.repository)) {
    throw new WaldenError('USAGE', `${order.configFile} exists already, with another repository`, {
      hint: 'leave --repository out to go on with it; others are added by hand: docs/repositories.md',
    });
  }
  const client = new ApiClient(config.service.socket);
  const serviceRuns = await answers(client, cluster);
  const start = await startOf(order, server);
  const newUnit = start === 'systemd' && !serviceRuns ? await unitOf(config, cluster, server) : undefined;
  return { server, config, cluster, newConfig, start, serviceRuns, newUnit, notes, client };
}

async function configOf(
  { configFile, name, repository }: InitOrder,
  server: InitServer,
): Promise<Pick<InitPlan, 'config' | 'cluster' | 'newConfig'>> {
  const old = await readIfThere(configFile);
  if (old !== undefined) {
    const config = parseConfig(old, configFile);
    return { config, cluster: await clusterOfServer(config, server, name), newConfig: undefined };
  }
  const { dataDirectory, conninfo } = server;
  const cluster = { name: clusterName(name ?? DEFAULT_NAME), dataDirectory, conninfo };
  const newConfig = configText(initPlaces(configFile, repository), cluster);
  const config = parseConfig(newConfig, configFile);
  const found = config.clusters.get(cluster.name);
  if (found === undefined) throw new WaldenError('INTERNAL', `the new configuration has no cluster ${cluster.name}`);
  return { config, cluster: found, newConfig };
}

/** @throws CONFIG_INVALID when a service answers that does not know the cluster */
async function answers(client: ApiClient, { name }: ClusterConfig): Promise<boolean> {
  try {
    const { clusters } = await client.get<PingDocument>('/v1/ping', { deadlineSeconds: PING_SECONDS });
    if (clusters.includes(name)) return true;
    throw new WaldenError('CONFIG_INVALID', `the service that runs was started before cluster ${name} was configured`, {
      hint: 'restart it, and run this again',
    });
  } catch (error) {
    if (isWaldenError(error, 'SERVICE_UNREACHABLE')) return false;
    throw error;
  }
}

async function startOf({ start }: InitOrder, { owner }: InitServer): Promise<ServiceStart> {
  if (owner.isRoot && (await systemdRuns())) return 'systemd';
  return start ? 'detached' : 'by hand';
}

/** A unit that is there was put there on purpose. */
async function unitOf(config: Config, cluster: ClusterConfig, { owner }: InitServer): Promise<string | undefined> {
  if ((await readIfThere(UNIT_PATH)) !== undefined) return undefined;
  return unitText(await packagedUnit(), {
    user: (await userName(owner.uid)) ?? String(owner.uid),
    group: (await groupName(owner.uid)) ?? String(owner.gid),
    command: serviceCommand(config),
    directories: [
      config.service.stateDirectory,
      cluster.spoolDirectory,
      ...[...config.repositories.values()].flatMap((one) => (one.driver === 'local' ? [one.path] : [])),
    ],
  });
}

/** With the Node that runs this: the PATH of a service may have another one, or none. */
export function serviceCommand({ source }: Pick<Config, 'source'>): readonly string[] {
  return [process.execPath, scriptPath('walden'), 'service', '--config', source];
}
