import type { NodeSighting } from '../../../catalog/nodes.ts';
import { errorToDocument, toWaldenError } from '../../errors.ts';
import { hostsOf } from '../../postgres/conninfo.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import type { ClusterNodesDocument } from '../api-nodes.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { ServiceDeps } from '../deps.ts';
import { type AskedNode, askNodes, conninfoOf } from './ask-nodes.ts';
import { isHere } from './here.ts';
import { type KnownNode, type KnownNodes, mergeNodes } from './known-nodes.ts';
import { nodeDocuments } from './node-documents.ts';
import { nodeWarnings } from './warnings.ts';

/** Every node of a cluster that is known, as it answers now. One that does not answer is in the list all the same. */
export async function listNodes(deps: ServiceDeps, room: ClusterRoom): Promise<ClusterNodesDocument> {
  const known = await knownNodes(deps, room);
  const { name } = room.config;
  const identity = await deps.catalog.clusterIdentity(name);
  const asked = await askNodes(known.nodes, { user: userOf(room), identity });
  await keepSeen(deps, known, asked);
  const nodes = nodeDocuments(asked, { scriptConfigPath: room.scriptConfigPath });
  return { cluster: name, nodes: [...nodes], warnings: [...nodeWarnings(name, nodes)] };
}

export async function knownNodes({ catalog, clock }: ServiceDeps, room: ClusterRoom): Promise<KnownNodes> {
  const stored = await catalog.nodes.all(room.config.name);
  const follows = room.receiving?.orders.follows?.conninfo;
  return mergeNodes(room.config, follows, stored, microsFromDate(clock.now()));
}

/** A node that may be asked. */
export interface ReachableNode {
  readonly name: string;
  /** For SQL. May hold a password. */
  readonly conninfo: string;
  /** On this host; undefined: elsewhere, or not known. */
  readonly dataDirectory: string | undefined;
}

/** The nodes of a cluster of which it is known how they are asked; whether they answer is not. */
export async function reachableNodes(deps: ServiceDeps, room: ClusterRoom): Promise<readonly ReachableNode[]> {
  const { nodes } = await knownNodes(deps, room);
  const found = await Promise.all(
    nodes.map(async (known: KnownNode): Promise<readonly ReachableNode[]> => {
      const conninfo = await conninfoOf(known, userOf(room));
      if (conninfo === undefined) return [];
      const { name, host, dataDirectory } = known.record;
      return [{ name, conninfo, dataDirectory: isHere(host) ? dataDirectory : undefined }];
    }),
  );
  return found.flat();
}

/** As whom the configuration asks: nodes that were found by their data directory are asked as the same. */
export function userOf({ config: { conninfo, backup } }: ClusterRoom): string | undefined {
  return hostsOf(conninfo ?? backup.conninfo)[0]?.user;
}

/** Beside the answer: a catalog that cannot be written keeps nobody from seeing the nodes. */
async function keepSeen(
  { catalog, clock, log }: ServiceDeps,
  { cluster, changed, gone }: KnownNodes,
  asked: readonly AskedNode[],
): Promise<void> {
  const at = microsFromDate(clock.now());
  const seen = new Map(
    asked.flatMap(({ known, asked: answer }): readonly (readonly [string, NodeSighting])[] => {
      if (answer.kind !== 'answered') return [];
      const { inRecovery, timeline, lsn } = answer.view.position;
      return [[known.record.name, { at, role: inRecovery ? 'standby' : 'primary', timeline, lsn }]];
    }),
  );
  try {
    for (const name of gone) await catalog.nodes.forget(cluster, name);
    for (const record of changed) await catalog.nodes.record(record);
    if (seen.size > 0) await catalog.nodes.recordSeen(cluster, seen);
  } catch (thrown) {
    const error = toWaldenError(thrown);
    log.warn({ cluster, error: errorToDocument(error) }, `what was seen of nodes was not kept: ${error.message}`);
  }
}
