import type { ClusterName } from '../catalog.ts';
import type { SecondWriter, WalNode } from '../writers.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { CatalogDatabase } from './database.ts';
import { errorOf, type Integer, microsOf } from './rows.ts';

interface SecondWriterRow {
  readonly timeline: Integer;
  readonly host: string;
  readonly data_directory: string;
  readonly file: string;
  readonly error: string;
  readonly first_at: Integer;
  readonly last_at: Integer;
  readonly attempts: Integer;
}

export type RefusedAttempt = Omit<SecondWriter, 'firstAt' | 'lastAt' | 'attempts'> & { readonly at: Micros };

export class SecondWriterTable {
  readonly #record;
  readonly #forget;
  readonly #forgetQuiet;
  readonly #since;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<[string, number, string, string, string, string, number, number]>(
      `INSERT INTO second_writer (cluster, timeline, host, data_directory, file, error, first_at, last_at, attempts)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
       ON CONFLICT (cluster, timeline, host, data_directory) DO UPDATE SET
         file = excluded.file, error = excluded.error, last_at = excluded.last_at, attempts = attempts + 1`,
    );
    this.#forget = database.prepare<[string, number, string, string]>(
      'DELETE FROM second_writer WHERE cluster = ? AND timeline = ? AND host = ? AND data_directory = ?',
    );
    this.#forgetQuiet = database.prepare<[string, number]>(
      'DELETE FROM second_writer WHERE cluster = ? AND last_at < ?',
    );
    this.#since = database.prepare<[string, number], SecondWriterRow>(
      `SELECT timeline, host, data_directory, file, error, first_at, last_at, attempts FROM second_writer
       WHERE cluster = ? AND last_at >= ? ORDER BY timeline, host, data_directory`,
    );
  }

  record({ cluster, timeline, node, file, error, at }: RefusedAttempt): void {
    this.#record.run(cluster, timeline, node.host, node.dataDirectory, file, JSON.stringify(error), at, at);
  }

  forget(cluster: ClusterName, timeline: TimelineId, { host, dataDirectory }: WalNode): boolean {
    return this.#forget.run(cluster, timeline, host, dataDirectory).changes > 0;
  }

  forgetQuiet(cluster: ClusterName, since: Micros): void {
    this.#forgetQuiet.run(cluster, since);
  }

  since(cluster: ClusterName, since: Micros): readonly SecondWriter[] {
    return this.#since.all(cluster, since).map((row) => ({
      cluster,
      timeline: Number(row.timeline) as TimelineId,
      node: { host: row.host, dataDirectory: row.data_directory },
      file: row.file as WalFileName,
      error: errorOf(row.error),
      firstAt: microsOf(row.first_at),
      lastAt: microsOf(row.last_at),
      attempts: Number(row.attempts),
    }));
  }
}
