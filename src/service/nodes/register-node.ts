import { hostname } from 'node:os';
import type { NodeRecord } from '../../../catalog/nodes.ts';
import { toWaldenError, WaldenError } from '../../errors.ts';
import { assertNoSecret, type ConninfoHost, hostsOf, parseConninfo } from '../../postgres/conninfo.ts';
import { postmasterPlace } from '../../postgres/postmaster-place.ts';
import { currentServerRun } from '../../postgres/server-run.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import type { NodeView } from '../../setup/node-view.ts';
import type { AddNodeRequest, NodeAnswerDocument } from '../api-nodes.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { ServiceDeps } from '../deps.ts';
import { type Asked, askNodes } from './ask-nodes.ts';
import { knownNodes, userOf } from './list-nodes.ts';
import { hostOf, type KnownNode } from './known-nodes.ts';
import { assertNodeName, nodeName } from './node-name.ts';

/** How much later than its process a server may say that it was started. */
const START_SECONDS = 60;

/** A data directory that was made on this host. */
export interface MadeNode {
  readonly origin: 'clone' | 'restore';
  readonly dataDirectory: string;
  /** Where it will listen; undefined: not known. */
  readonly port: number | undefined;
  readonly slot: string | undefined;
}

/**
 * Has the catalog know a node that was made just now; what was in its directory before is known no more.
 * @returns a sentence for whoever made it: what is done is done, whether it could be registered or not
 */
export async function registerMade(deps: ServiceDeps, room: ClusterRoom, made: MadeNode): Promise<string> {
  const { name: cluster } = room.config;
  try {
    const name = await inTurn(room, () => recordMade(deps, room, made));
    return `it is known as node ${name}: walden node list ${cluster}`;
  } catch (thrown) {
    return `it could not be registered as a node (${toWaldenError(thrown).message}): walden node add ${cluster}`;
  }
}

/** @returns its name */
async function recordMade(deps: ServiceDeps, room: ClusterRoom, made: MadeNode): Promise<string> {
  const { nodes } = await knownNodes(deps, room);
  const host = hostname();
  const { dataDirectory, port, slot, origin } = made;
  const before = nodes.find(({ record }) => record.host === host && record.dataDirectory === dataDirectory)?.record;
  if (before?.origin === 'configured') return before.name;
  const name = before?.name ?? nodeName(host, port === undefined ? { dataDirectory } : { port }, namesOf(nodes));
  const user = userOf(room);
  const words = [`host=${host}`, `port=${port ?? ''}`, ...(user === undefined ? [] : [`user=${quoted(user)}`])];
  await deps.catalog.nodes.record({
    ...{ cluster: room.config.name, name, host, dataDirectory, slot, origin, seen: undefined },
    conninfo: port === undefined ? undefined : words.join(' '),
    registeredAt: microsFromDate(deps.clock.now()),
  });
  return name;
}

/**
 * Has the catalog know a server by an operator's word, whether it answers now or not.
 * @throws USAGE, CONFIG_INVALID; SERVER_MISMATCH when another cluster's server answers
 */
export async function addNode(
  deps: ServiceDeps,
  room: ClusterRoom,
  { name, conninfo }: AddNodeRequest,
): Promise<NodeAnswerDocument> {
  const { name: cluster } = room.config;
  assertNodeName(name);
  const place = placeIn(name, conninfo);
  assertFree(name, room, (await knownNodes(deps, room)).nodes);
  const bare: NodeRecord = {
    ...{ cluster, name, host: hostOf(place), conninfo, dataDirectory: undefined, slot: undefined },
    ...{ origin: 'operator', registeredAt: microsFromDate(deps.clock.now()), seen: undefined },
  };
  const identity = await deps.catalog.clusterIdentity(cluster);
  const [answer] = await askNodes([{ record: bare, conninfo: undefined }], { user: undefined, identity });
  const { record, notes } = await learned(bare, answer?.asked);
  await inTurn(room, async () => {
    assertFree(name, room, (await knownNodes(deps, room)).nodes);
    await deps.catalog.nodes.record(record);
  });
  return { cluster, name, notes: [...notes] };
}

/** @throws NOT_FOUND, USAGE */
export async function forgetNode(deps: ServiceDeps, room: ClusterRoom, name: string): Promise<NodeAnswerDocument> {
  const { name: cluster } = room.config;
  const { nodes } = await knownNodes(deps, room);
  const known = nodes.find(({ record }) => record.name === name);
  if (known === undefined) {
    throw new WaldenError('NOT_FOUND', `cluster ${cluster} has no node ${JSON.stringify(name)}`, {
      hint: nodes.length === 0 ? 'it has none' : `it has: ${nodes.map(({ record }) => record.name).join(', ')}`,
    });
  }
  const { origin, slot } = known.record;
  if (origin === 'configured') {
    throw new WaldenError('USAGE', `node ${name} stands in the configuration of cluster ${cluster}`, {
      hint: 'it goes when no connection string of the configuration, or of walden cluster follow, names it',
    });
  }
  await deps.catalog.nodes.forget(cluster, name);
  const drop = `select pg_drop_replication_slot('${slot ?? ''}')`;
  const notes =
    slot === undefined ? [] : [`its slot ${slot} may keep WAL on the primary; to drop it, run there: ${drop}`];
  return { cluster, name, notes };
}

/** @throws USAGE */
function assertFree(name: string, room: ClusterRoom, nodes: readonly KnownNode[]): void {
  if (!namesOf(nodes).has(name)) return;
  const { name: cluster } = room.config;
  throw new WaldenError('USAGE', `cluster ${cluster} has a node ${name} already`, {
    hint: `choose another name, or forget that one: walden node forget ${cluster} ${name}`,
  });
}

function namesOf(nodes: readonly KnownNode[]): ReadonlySet<string> {
  return new Set(nodes.map(({ record }) => record.name));
}

const turns = new WeakMap<ClusterRoom, Promise<unknown>>();

/** One after the other in each cluster: a name that is free stays so until it is taken. */
async function inTurn<Result>(room: ClusterRoom, work: () => Promise<Result>): Promise<Result> {
  const turn = (turns.get(room) ?? Promise.resolve()).then(work);
  // Whoever comes next waits for the end, however it was: the failure is told to the one who asked.
  turns.set(
    room,
    turn.catch(() => undefined),
  );
  return await turn;
}

/** @throws USAGE, CONFIG_INVALID */
function placeIn(name: string, conninfo: string): ConninfoHost {
  assertNoSecret(conninfo, `node ${name}`);
  const [place, ...more] = hostsOf(conninfo);
  if (place?.host === undefined || more.length > 0) {
    throw new WaldenError(
      'USAGE',
      `the connection string of node ${name} names ${more.length === 0 ? 'no host' : 'several hosts'}`,
      {
        hint: 'a node is one server: host=db2 port=5432 user=walden',
      },
    );
  }
  parseConninfo(conninfo);
  return place;
}

/** What a server that answers tells of itself. @throws SERVER_MISMATCH */
async function learned(
  bare: NodeRecord,
  asked: Asked | undefined,
): Promise<{ readonly record: NodeRecord; readonly notes: readonly string[] }> {
  if (asked?.kind === 'foreign') throw asked.error;
  if (asked?.kind !== 'answered') {
    const why = asked?.kind === 'unreachable' ? `: ${asked.error.message}` : '';
    return { record: bare, notes: [`it does not answer now${why}`] };
  }
  const { view } = asked;
  const { primarySlotName } = view.settings;
  const slot = view.receiver?.slot ?? (primarySlotName === '' ? undefined : primarySlotName);
  const dataDirectory = await directoryOf(bare, view);
  return { record: { ...bare, dataDirectory, slot: view.position.inRecovery ? slot : undefined }, notes: [] };
}

/**
 * Its data directory, on this host only if that very server runs in it: a port of this host may lead elsewhere, to a server with
 * a directory of the same name.
 */
async function directoryOf({ host }: NodeRecord, view: NodeView): Promise<string | undefined> {
  const { dataDirectory } = view.settings;
  if (dataDirectory === undefined || host !== hostname()) return dataDirectory;
  const run = await currentServerRun(dataDirectory);
  const place = await postmasterPlace(dataDirectory);
  const [, started = ''] = run?.split(' ') ?? [];
  // postmaster.pid names the second in which its process began.
  const isOwn = place?.port === view.port && Math.abs(Number(started) - view.startedSeconds) <= START_SECONDS;
  return isOwn ? dataDirectory : undefined;
}

function quoted(text: string): string {
  return /^[\w.@-]+$/.test(text) ? text : `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
