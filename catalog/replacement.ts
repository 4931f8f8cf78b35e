import type { Micros } from '../src/postgres/timestamp.ts';
import type { Catalog } from './catalog.ts';

export interface SwapOptions {
  /**
   * When the new catalog began to be filled: what the one in use recorded since then is taken over, because the listing
   * of the repositories may have missed it.
   */
  readonly since?: Micros | undefined;
}

/** A new catalog that is filled beside the one in use, to take its place. */
export interface CatalogReplacement {
  /** Empty at first. Its changes are not durable before `commit`. */
  readonly catalog: Catalog;
  /**
   * Takes the place of the catalog in use in one step, jobs, refusals and running backups taken over. Whatever fails, the
   * catalog in use goes on as it was.
   */
  commit(options: SwapOptions): Promise<void>;
  /** Gives it up. Does nothing after `commit`. */
  discard(): Promise<void>;
}

/** A catalog that can be replaced while it is in use. */
export interface ReplaceableCatalog extends Catalog {
  beginReplacement(): Promise<CatalogReplacement>;
}
