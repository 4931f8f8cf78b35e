import type { ClusterName } from '../catalog.ts';
import type { NodeCatalog, NodeRecord, NodeSighting } from '../nodes.ts';
import type { Transactions } from './engine.ts';

/** The part of the catalog that is about nodes. */
export class SqliteNodes implements NodeCatalog {
  readonly #transactions: Transactions;

  constructor(transactions: Transactions) {
    this.#transactions = transactions;
  }

  record(node: NodeRecord): Promise<void> {
    return this.#transactions.write(`record node ${node.name}`, ({ nodes }) => {
      nodes.record(node);
    });
  }

  recordSeen(cluster: ClusterName, seen: ReadonlyMap<string, NodeSighting>): Promise<void> {
    return this.#transactions.write('record what was seen of nodes', ({ nodes }) => {
      for (const [name, sighting] of seen) nodes.recordSeen(cluster, name, sighting);
    });
  }

  forget(cluster: ClusterName, name: string): Promise<boolean> {
    return this.#transactions.write(`forget node ${name}`, ({ nodes }) => nodes.forget(cluster, name));
  }

  all(cluster: ClusterName): Promise<readonly NodeRecord[]> {
    return this.#transactions.read(({ nodes }) => nodes.all(cluster));
  }
}
