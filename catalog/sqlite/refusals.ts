import type { ClusterName, WalRefusal } from '../catalog.ts';
import type { ErrorDocument } from '../../src/errors.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { CatalogDatabase } from './database.ts';
import { errorOf, type Integer, microsOf } from './rows.ts';

interface RefusalRow {
  readonly name: string;
  readonly error: string;
  readonly first_at: Integer;
  readonly last_at: Integer;
  readonly attempts: Integer;
}

export class RefusalTable {
  readonly #record;
  readonly #clear;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<[string, string, string, number, number]>(
      `INSERT INTO refusal (cluster, name, error, first_at, last_at, attempts) VALUES (?, ?, ?, ?, ?, 1)
       ON CONFLICT (cluster, name) DO UPDATE SET
         error = excluded.error, last_at = excluded.last_at, attempts = attempts + 1`,
    );
    this.#clear = database.prepare<[string, string]>('DELETE FROM refusal WHERE cluster = ? AND name = ?');
    this.#all = database.prepare<[string], RefusalRow>(
      'SELECT name, error, first_at, last_at, attempts FROM refusal WHERE cluster = ? ORDER BY name',
    );
  }

  record(cluster: ClusterName, name: WalFileName, error: ErrorDocument, at: Micros): void {
    this.#record.run(cluster, name, JSON.stringify(error), at, at);
  }

  clear(cluster: ClusterName, name: WalFileName): void {
    this.#clear.run(cluster, name);
  }

  all(cluster: ClusterName): readonly WalRefusal[] {
    return this.#all.all(cluster).map((row) => ({
      cluster,
      name: row.name as WalFileName,
      error: errorOf(row.error),
      firstAt: microsOf(row.first_at),
      lastAt: microsOf(row.last_at),
      attempts: Number(row.attempts),
    }));
  }
}
