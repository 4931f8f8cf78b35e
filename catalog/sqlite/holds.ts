import type { BackupId, ClusterName, HoldRecord, RepositoryName } from '../catalog.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, microsOf, optionalMicros } from './rows.ts';

interface HoldRow {
  readonly cluster: string;
  readonly backup: string;
  readonly repository: string;
  readonly since: Integer;
  readonly until: Integer | null;
  readonly reason: string | null;
}

/** Backups that are kept whatever retention says. */
export class HoldTable {
  readonly #record;
  readonly #forget;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<[string, string, string, number, number | null, string | null]>(
      'INSERT OR REPLACE INTO hold (cluster, backup, repository, since, until, reason) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#forget = database.prepare<[string, string, string]>(
      'DELETE FROM hold WHERE cluster = ? AND backup = ? AND repository = ?',
    );
    this.#all = database.prepare<[string], HoldRow>('SELECT * FROM hold WHERE cluster = ? ORDER BY backup, repository');
  }

  record({ cluster, backup, repository, since, until, reason }: HoldRecord): void {
    this.#record.run(cluster, backup, repository, since, until ?? null, reason ?? null);
  }

  forget(repository: RepositoryName, cluster: ClusterName, backup: BackupId): void {
    this.#forget.run(cluster, backup, repository);
  }

  all(cluster: ClusterName): readonly HoldRecord[] {
    return this.#all.all(cluster).map((row) => ({
      repository: row.repository as RepositoryName,
      cluster: row.cluster as ClusterName,
      backup: row.backup as BackupId,
      since: microsOf(row.since),
      until: optionalMicros(row.until),
      reason: row.reason ?? undefined,
    }));
  }
}
