import type { ClusterName, RepositoryName, WalFileRecord } from '../catalog.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { Tables } from './tables.ts';

/** What only the service knows and no repository can give back. */
const KEPT_TABLES = [
  { table: 'job', order: 'rowid' },
  { table: 'refusal', order: 'cluster, name' },
] as const;

interface RecentRow {
  readonly repository: string;
  readonly cluster: string;
  readonly name: string;
}

/**
 * Copies into a rebuilt catalog what the repositories could not tell: jobs, refusals, backups that run or are being
 * removed now, and the WAL files recorded `since`.
 */
export function carryOver(from: Tables, to: Tables, since: Micros | undefined): void {
  to.database
    .transaction(() => {
      for (const { table, order } of KEPT_TABLES) copyRows(from, to, table, `ORDER BY ${order}`);
      copyRows(from, to, 'backup', "WHERE state IN ('running', 'removing')");
      if (since === undefined) return;
      copyRows(from, to, 'backup', "WHERE state = 'complete' AND finished_at >= ?", since);
      copyMissingClusters(from, to);
      for (const file of recentFiles(from, since)) to.walFiles.record(file);
    })
    .immediate();
}

function copyRows(from: Tables, to: Tables, table: string, rest: string, ...values: readonly number[]): void {
  const columns = from.database.prepare<[], string>(`SELECT name FROM pragma_table_info('${table}')`).pluck().all();
  const insert = to.database.prepare(
    `INSERT OR REPLACE INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  const rows = from.database.prepare<unknown[], unknown[]>(`SELECT * FROM ${table} ${rest}`).raw();
  for (const row of rows.iterate(...values)) insert.run(...row);
}

/** A cluster that was registered meanwhile. */
function copyMissingClusters(from: Tables, to: Tables): void {
  for (const name of from.clusters.names()) {
    const identity = from.clusters.identity(name);
    if (identity !== undefined && to.clusters.identity(name) === undefined) to.clusters.register(name, identity);
  }
}

function* recentFiles(from: Tables, since: Micros): Generator<WalFileRecord> {
  const rows = from.database
    .prepare<[number], RecentRow>(
      `SELECT a.repository, a.cluster, f.name FROM archive a JOIN wal_file f ON f.archive = a.id
       WHERE f.archived_at >= ? ORDER BY f.archive, f.name`,
    )
    .all(since);
  for (const { repository, cluster, name } of rows) {
    const file = from.walFiles.find(repository as RepositoryName, cluster as ClusterName, name as WalFileName);
    if (file !== undefined) yield file;
  }
}
