import type { BackupId, Catalog, ClusterName, RepositoryName } from './catalog.ts';
import type { WalFileName } from '../src/postgres/wal-name.ts';

/** A new catalog that is filled beside the one in use, to take its place. */
export interface CatalogReplacement {
  /** Empty at first. Its changes are not durable before `commit`. */
  readonly catalog: Catalog;
  /** Whether this WAL file or backup was recorded or forgotten in the catalog in use since the replacement began. */
  changedMeanwhile(repository: RepositoryName, cluster: ClusterName, name: WalFileName | BackupId): boolean;
  /**
   * Takes the place of the catalog in use in one step. Jobs, refusals, running backups and what changed meanwhile are taken
   * over. Whatever fails, the catalog in use goes on as it was.
   */
  commit(): Promise<void>;
  /** Gives it up. Does nothing after `commit`. */
  discard(): Promise<void>;
}

/** A catalog that can be replaced while it is in use. */
export interface ReplaceableCatalog extends Catalog {
  /** @throws LOCK_HELD while another replacement is being filled */
  beginReplacement(): Promise<CatalogReplacement>;
}
