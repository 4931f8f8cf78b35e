import type { ClusterName, RepositoryName } from '../catalog.ts';
import type { CatalogDatabase } from './database.ts';

/** Number of an archive (one cluster in one repository) in this catalog. */
export type ArchiveId = bigint & { readonly __archive: unique symbol };

export class ArchiveTable {
  readonly #find;
  readonly #insert;

  constructor(database: CatalogDatabase) {
    this.#find = database
      .prepare<[string, string], ArchiveId>('SELECT id FROM archive WHERE repository = ? AND cluster = ?')
      .pluck();
    this.#insert = database
      .prepare<[string, string], ArchiveId>('INSERT INTO archive (repository, cluster) VALUES (?, ?) RETURNING id')
      .pluck();
  }

  find(repository: RepositoryName, cluster: ClusterName): ArchiveId | undefined {
    return this.#find.get(repository, cluster);
  }

  /** Only inside a transaction that writes. */
  ensure(repository: RepositoryName, cluster: ClusterName): ArchiveId {
    const found = this.find(repository, cluster) ?? this.#insert.get(repository, cluster);
    if (found === undefined) throw new Error('INSERT … RETURNING gave no row');
    return found;
  }
}
