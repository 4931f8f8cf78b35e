import { hostname } from 'node:os';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { isWaldenError, toWaldenError, WaldenError } from '../../errors.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { type ControlFile, readControlFile } from '../../postgres/control-file.ts';
import { postmasterPlace } from '../../postgres/postmaster-place.ts';
import { openSession } from '../../postgres/session.ts';
import { runningPostmaster } from '../../restore/running-process.ts';
import { type NodeView, readNodeView } from '../../setup/node-view.ts';
import type { KnownNode } from './known-nodes.ts';

/** How long one node may take for all of its answers. */
const NODE_DEADLINE_MS = 10_000;
const QUERY_TIMEOUT_MS = 5_000;
/** How long a standby waits for the position of the primary before it tells its own. */
const ORDER_DEADLINE_MS = 3_000;

/** What came of asking a node. */
export type Asked =
  /** `isOrdered`: the position of a primary was read before this one. */
  | { readonly kind: 'answered'; readonly view: NodeView; readonly isOrdered: boolean }
  /** A server of another cluster answers there. */
  | { readonly kind: 'foreign'; readonly error: WaldenError }
  /** Its data directory is on this host, and no server runs in it. */
  | { readonly kind: 'down'; readonly control: ControlFile }
  | { readonly kind: 'unreachable'; readonly error: WaldenError };

export interface AskedNode {
  readonly known: KnownNode;
  readonly asked: Asked;
}

/** What the nodes of a cluster are asked with. */
export interface Asking {
  /** For those that are found by their data directory. */
  readonly user: string | undefined;
  /** Undefined: nothing is known of the cluster yet, and whoever answers is believed. */
  readonly identity: Pick<ClusterIdentity, 'systemIdentifier'> | undefined;
}

/** Asks all at once, each with a deadline of its own. */
export async function askNodes(nodes: readonly KnownNode[], asking: Asking): Promise<readonly AskedNode[]> {
  const order = new PositionOrder(nodes.length);
  return await Promise.all(
    nodes.map(async (known) => {
      const turn = order.turn();
      const asked = await askNode(known, asking, turn);
      turn.settle(false);
      return { known, asked };
    }),
  );
}

/**
 * How a node is asked, or undefined where nothing says that: as the configuration or an operator said, else where the server
 * that runs in its data directory listens on this host, else as it was recorded. May hold a password.
 */
export async function conninfoOf(
  { record, conninfo }: KnownNode,
  user: string | undefined,
): Promise<string | undefined> {
  if (conninfo !== undefined) return conninfo;
  const { origin, dataDirectory } = record;
  if (origin === 'operator' || dataDirectory === undefined || record.host !== hostname()) return record.conninfo;
  const place = await postmasterPlace(dataDirectory);
  if (place === undefined) return record.conninfo;
  return user === undefined ? place.conninfo : `${place.conninfo} user='${user.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}

async function askNode(known: KnownNode, asking: Asking, turn: Turn): Promise<Asked> {
  try {
    const late = (): WaldenError =>
      new WaldenError('SERVER_UNREACHABLE', `it did not answer within ${NODE_DEADLINE_MS / 1000} s`);
    return await withDeadline(readNode(known, asking, turn), NODE_DEADLINE_MS, late);
  } catch (thrown) {
    const error = toWaldenError(thrown);
    const { host, dataDirectory } = known.record;
    if (dataDirectory === undefined || host !== hostname()) return { kind: 'unreachable', error };
    return await lookAt(dataDirectory, error);
  }
}

async function readNode(known: KnownNode, { user, identity }: Asking, turn: Turn): Promise<Asked> {
  const conninfo = await conninfoOf(known, user);
  if (conninfo === undefined) throw new WaldenError('SERVER_UNREACHABLE', 'no server runs in its data directory');
  const session = await openSession(conninfo, { timeoutMs: QUERY_TIMEOUT_MS });
  try {
    let isOrdered = true;
    const view = await readNodeView(session, async ({ systemIdentifier, inRecovery }) => {
      const isOurs = identity === undefined || systemIdentifier === identity.systemIdentifier;
      turn.settle(isOurs && !inRecovery);
      if (isOurs && inRecovery) isOrdered = await turn.primaryRead();
    });
    if (identity === undefined || view.systemIdentifier === identity.systemIdentifier) {
      return { kind: 'answered', view, isOrdered };
    }
    const { systemIdentifier: theirs } = view;
    const fact = `another cluster's server answers: it has system identifier ${theirs}, and this cluster has ${identity.systemIdentifier}`;
    const hint = 'correct its connection string, or forget the node';
    return { kind: 'foreign', error: new WaldenError('SERVER_MISMATCH', fact, { hint }) };
  } finally {
    await session.close();
  }
}

/** What the data directory of a server on this host says when the server does not. */
async function lookAt(dataDirectory: string, error: WaldenError): Promise<Asked> {
  try {
    if ((await runningPostmaster(dataDirectory)) !== undefined) return { kind: 'unreachable', error };
    return { kind: 'down', control: await readControlFile(dataDirectory) };
  } catch (failure) {
    // It is gone, or not to be read from here: then its files say why, and the server does not answer all the same.
    const reason = isWaldenError(failure, 'LOCAL_IO', 'FORMAT_INVALID') ? failure.message : String(failure);
    const { code, message, hint } = error;
    return { kind: 'unreachable', error: new WaldenError(code, `${message}; ${reason}`, { hint, cause: error }) };
  }
}

interface Turn {
  /** Tells, once, whether this node is a primary whose position was read. */
  settle(isPrimary: boolean): void;
  /** Resolves when the position of a primary was read, with true, or when there is none to wait for. */
  primaryRead(): Promise<boolean>;
}

/** A standby is behind only if its position is read after that of the primary. */
class PositionOrder {
  #open: number;
  #known!: (isPrimary: boolean) => void;
  readonly #primary: Promise<boolean>;

  constructor(nodes: number) {
    this.#open = nodes;
    this.#primary = new Promise((resolve) => (this.#known = resolve));
  }

  turn(): Turn {
    let isSettled = false;
    return {
      settle: (isPrimary) => {
        if (isSettled) return;
        isSettled = true;
        this.#open -= 1;
        if (isPrimary) this.#known(true);
        else if (this.#open === 0) this.#known(false);
      },
      primaryRead: async () => {
        const late = (): WaldenError => new WaldenError('SERVER_UNREACHABLE', 'no primary has answered yet');
        // Late or not, the standby tells its position.
        return await withDeadline(this.#primary, ORDER_DEADLINE_MS, late).catch(() => false);
      },
    };
  }
}
