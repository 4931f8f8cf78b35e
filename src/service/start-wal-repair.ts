import { isAbsolute } from 'node:path';
import type { ClusterConfig } from '../config/config.ts';
import { WaldenError } from '../errors.ts';
import { assertNoSecret, type HostList, parseHostList } from '../postgres/conninfo.ts';
import { runningPostmaster } from '../restore/running-process.ts';
import { type RepairNode, repairWal } from '../wal/repair/repair-wal.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { JobView } from './jobs.ts';
import { type ReachableNode, reachableNodes } from './nodes/list-nodes.ts';
import { rebuildEnded, type ServiceRooms } from './rooms.ts';
import type { WalRepairRequest } from './wal-repair-api.ts';

/**
 * Starts to fetch what the archive of a cluster lacks from its nodes, once at a time for each cluster.
 * @throws USAGE for a password or a relative path, CONFIG_INVALID; LOCK_HELD while one runs
 */
export async function startWalRepair(
  rooms: ServiceRooms,
  room: ClusterRoom,
  { from = [], dryRun = false }: WalRepairRequest,
): Promise<JobView> {
  const named = await Promise.all(from.map(namedNodes));
  return await rooms.jobs.start('wal-repair', room.config.name, async (controls) => {
    await rebuildEnded(rooms, controls.signal);
    const known = await Promise.all((await reachableNodes(rooms.deps, room)).map(registered));
    const own = await ownDirectory(room.config);
    const nodes = distinct([...own, ...named.flat(), ...configured(room), ...known.flat()]);
    const pusher = await room.pusher();
    const context = await room.context();
    const push = (name: string, path: string): Promise<void> => pusher.pushFrom(name, path);
    return await repairWal({ context, push }, { nodes, dryRun }, controls);
  });
}

/** @throws USAGE, CONFIG_INVALID */
async function namedNodes(from: string): Promise<readonly RepairNode[]> {
  if (isAbsolute(from)) return [await directory(from, { isNamed: true, isEmptied: true })];
  if (!from.includes('=') && !from.includes('://')) {
    throw new WaldenError('USAGE', `${JSON.stringify(from)} is neither an absolute path nor a connection string`, {
      hint: "for example: --from /var/lib/postgresql/17/main, --from 'host=db2 user=receiver'",
    });
  }
  assertNoSecret(from);
  return servers(from, true);
}

/** What its archiver has not brought yet, it will: only what is missing is wanted of it. */
async function ownDirectory({ dataDirectory }: ClusterConfig): Promise<readonly RepairNode[]> {
  return dataDirectory === undefined ? [] : [await directory(dataDirectory, { isNamed: false, isEmptied: false })];
}

/** Its pg_wal too where it is on this host: the server may be down. */
async function registered({ conninfo, dataDirectory }: ReachableNode): Promise<readonly RepairNode[]> {
  const place =
    dataDirectory === undefined ? [] : [await directory(dataDirectory, { isNamed: false, isEmptied: false })];
  return [...place, ...servers(conninfo, false)];
}

async function directory(
  path: string,
  wanted: { readonly isNamed: boolean; readonly isEmptied: boolean },
): Promise<RepairNode> {
  const isRunning = await runningPostmaster(path).then(
    (pid) => pid !== undefined,
    // In doubt one runs there; what cannot be read is told when it is opened.
    () => true,
  );
  return { kind: 'directory', path, isRunning, ...wanted };
}

/** Every host of every connection string of the configuration, and of the order that the receiver follows. */
function configured({ config, ordered }: ClusterRoom): readonly RepairNode[] {
  const texts = [ordered, config].flatMap(({ receive, backup }) => [receive?.conninfo, backup.conninfo]);
  return texts.flatMap((text) => (text === undefined ? [] : servers(text, true)));
}

function servers(conninfo: string, isNamed: boolean): readonly RepairNode[] {
  return parseHostList(conninfo).hosts.map((host) => ({
    kind: 'server',
    name: nameOf(host),
    isNamed,
    config: host,
  }));
}

function nameOf({ host = 'the host by default', port = 5432 }: HostList['hosts'][number]): string {
  return port === 5432 ? host : `${host}:${port}`;
}

/** Each once, as it comes first; a directory that is named is wanted with all that it has. */
function distinct(nodes: readonly RepairNode[]): readonly RepairNode[] {
  const byName = new Map<string, RepairNode>();
  for (const node of nodes) {
    const name = node.kind === 'server' ? node.name : node.path;
    const known = byName.get(name);
    if (known === undefined || (node.isNamed && !known.isNamed)) byName.set(name, node);
  }
  return [...byName.values()];
}
