import type { BackupId, ClusterName, RepositoryName } from '../catalog.ts';
import type { DamagedObject, DamagedPart } from '../proof.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import type { CatalogDatabase } from './database.ts';
import { errorOf, type Integer, microsOf } from './rows.ts';

interface DamagedRow {
  readonly cluster: string;
  readonly repository: string;
  readonly key: string;
  readonly wal_file: string | null;
  readonly backup: string | null;
  readonly error: string;
  readonly found_at: Integer;
}

export class DamagedObjectTable {
  readonly #isKnown;
  readonly #mark;
  readonly #unmark;
  readonly #forgetPart;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#isKnown = database
      .prepare<[string, string, string], bigint>(
        'SELECT count(*) FROM damaged_object WHERE cluster = ? AND repository = ? AND key = ?',
      )
      .pluck();
    this.#mark = database.prepare<[string, string, string, string | null, string | null, string, number]>(
      `INSERT INTO damaged_object (cluster, repository, key, wal_file, backup, error, found_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (cluster, repository, key) DO UPDATE SET error = excluded.error`,
    );
    this.#unmark = database.prepare<[string, string, string]>(
      'DELETE FROM damaged_object WHERE cluster = ? AND repository = ? AND key = ?',
    );
    this.#forgetPart = database.prepare<[string, string, string | null, string | null]>(
      'DELETE FROM damaged_object WHERE cluster = ? AND repository = ? AND (wal_file = ? OR backup = ?)',
    );
    this.#all = database.prepare<[string], DamagedRow>(
      'SELECT * FROM damaged_object WHERE cluster = ? ORDER BY repository, key',
    );
  }

  /** @returns whether the mark is new */
  mark({ cluster, repository, key, part, error, foundAt }: DamagedObject): boolean {
    const isNew = this.#isKnown.get(cluster, repository, key) === 0n;
    this.#mark.run(cluster, repository, key, ...columnsOf(part), JSON.stringify(error), foundAt);
    return isNew;
  }

  /** @returns whether there was one */
  unmark(repository: RepositoryName, cluster: ClusterName, key: ObjectKey): boolean {
    return this.#unmark.run(cluster, repository, key).changes > 0;
  }

  forget(repository: RepositoryName, cluster: ClusterName, part: DamagedPart): void {
    this.#forgetPart.run(cluster, repository, ...columnsOf(part));
  }

  all(cluster: ClusterName): readonly DamagedObject[] {
    return this.#all.all(cluster).map((row) => ({
      cluster: row.cluster as ClusterName,
      repository: row.repository as RepositoryName,
      key: row.key as ObjectKey,
      part:
        row.backup === null
          ? { kind: 'wal', name: row.wal_file as WalFileName }
          : { kind: 'backup', backup: row.backup as BackupId },
      error: errorOf(row.error),
      foundAt: microsOf(row.found_at),
    }));
  }
}

function columnsOf(part: DamagedPart): [walFile: string | null, backup: string | null] {
  return part.kind === 'wal' ? [part.name, null] : [null, part.backup];
}
