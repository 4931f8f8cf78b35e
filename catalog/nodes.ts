import type { Lsn, TimelineId } from '../src/postgres/lsn.ts';
import type { Micros } from '../src/postgres/timestamp.ts';
import type { ClusterName } from './catalog.ts';

/**
 * The nodes of the clusters: where their servers are, and what was last seen of them. The repositories do not hold it: a
 * rebuilt catalog takes it over from the old one, and with a catalog that is lost all are lost but those of the
 * configuration.
 */

/** How a node became known: by the configuration, by what Walden made, or by an operator's word. */
export type NodeOrigin = 'configured' | 'clone' | 'restore' | 'operator';

/** What a node said of itself when it answered last. */
export interface NodeSighting {
  readonly at: Micros;
  readonly role: 'primary' | 'standby';
  readonly timeline: TimelineId | undefined;
  /** The end of its WAL on a primary, up to where it was replayed on a standby. */
  readonly lsn: Lsn | undefined;
}

export interface NodeRecord {
  readonly cluster: ClusterName;
  /** No other node of the cluster has it. */
  readonly name: string;
  /** Where its data directory is. */
  readonly host: string;
  readonly dataDirectory: string | undefined;
  /** How it is asked by SQL, for libpq. Holds no password. Undefined where only its data directory is known. */
  readonly conninfo: string | undefined;
  /** The replication slot that keeps WAL for it on its upstream. */
  readonly slot: string | undefined;
  readonly origin: NodeOrigin;
  readonly registeredAt: Micros;
  /** Undefined: it has never answered. */
  readonly seen: NodeSighting | undefined;
}

export interface NodeCatalog {
  /** Takes the place of an earlier node of the same name. */
  record(node: NodeRecord): Promise<void>;
  /** Of nodes by their names; those that are not known are passed over. */
  recordSeen(cluster: ClusterName, seen: ReadonlyMap<string, NodeSighting>): Promise<void>;
  /** @returns whether it was known */
  forget(cluster: ClusterName, name: string): Promise<boolean>;
  /** In ascending order of name. */
  all(cluster: ClusterName): Promise<readonly NodeRecord[]>;
}
