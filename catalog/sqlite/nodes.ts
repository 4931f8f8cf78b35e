import type { ClusterName } from '../catalog.ts';
import type { NodeRecord, NodeSighting } from '../nodes.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, lsnOf, lsnText, microsOf } from './rows.ts';

interface NodeRow {
  readonly cluster: string;
  readonly name: string;
  readonly host: string;
  readonly data_directory: string | null;
  readonly conninfo: string | null;
  readonly slot: string | null;
  readonly origin: string;
  readonly registered_at: Integer;
  readonly seen_at: Integer | null;
  readonly seen_role: string | null;
  readonly seen_timeline: Integer | null;
  readonly seen_lsn: string | null;
}

type Text = string | null;
type Seen = [number | null, Text, number | null, Text];

export class NodeTable {
  readonly #record;
  readonly #see;
  readonly #forget;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<[string, string, string, Text, Text, Text, string, number, ...Seen]>(
      `INSERT OR REPLACE INTO node (cluster, name, host, data_directory, conninfo, slot, origin, registered_at,
         seen_at, seen_role, seen_timeline, seen_lsn)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#see = database.prepare<[...Seen, string, string]>(
      `UPDATE node SET seen_at = ?, seen_role = ?, seen_timeline = ?, seen_lsn = ? WHERE cluster = ? AND name = ?`,
    );
    this.#forget = database.prepare<[string, string]>('DELETE FROM node WHERE cluster = ? AND name = ?');
    this.#all = database.prepare<[string], NodeRow>('SELECT * FROM node WHERE cluster = ? ORDER BY name');
  }

  record(node: NodeRecord): void {
    const { cluster, name, host, dataDirectory, conninfo, slot, origin, registeredAt, seen } = node;
    const place = [dataDirectory ?? null, conninfo ?? null, slot ?? null] as const;
    this.#record.run(cluster, name, host, ...place, origin, registeredAt, ...seenColumns(seen));
  }

  recordSeen(cluster: ClusterName, name: string, seen: NodeSighting): void {
    this.#see.run(...seenColumns(seen), cluster, name);
  }

  forget(cluster: ClusterName, name: string): boolean {
    return this.#forget.run(cluster, name).changes > 0;
  }

  all(cluster: ClusterName): readonly NodeRecord[] {
    return this.#all.all(cluster).map((row) => ({
      cluster: row.cluster as ClusterName,
      name: row.name,
      host: row.host,
      dataDirectory: row.data_directory ?? undefined,
      conninfo: row.conninfo ?? undefined,
      slot: row.slot ?? undefined,
      origin: row.origin as NodeRecord['origin'],
      registeredAt: microsOf(row.registered_at),
      seen: seenOf(row),
    }));
  }
}

function seenColumns(seen: NodeSighting | undefined): Seen {
  if (seen === undefined) return [null, null, null, null];
  return [seen.at, seen.role, seen.timeline ?? null, seen.lsn === undefined ? null : lsnText(seen.lsn)];
}

function seenOf({ seen_at: at, seen_role: role, seen_timeline: timeline, seen_lsn: lsn }: NodeRow): NodeRecord['seen'] {
  if (at === null || role === null) return undefined;
  return {
    at: microsOf(at),
    role: role as NodeSighting['role'],
    timeline: timeline === null ? undefined : (Number(timeline) as TimelineId),
    lsn: lsn === null ? undefined : lsnOf(lsn),
  };
}
