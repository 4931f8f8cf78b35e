import type { ClusterName } from '../../catalog/catalog.ts';
import type { ReplaceableCatalog } from '../../catalog/replacement.ts';
import { compareCatalogs } from './compare-catalogs.ts';
import { rebuildCatalog } from './rebuild-catalog.ts';
import type { Repository } from './repository.ts';

export interface RebuildAndReplace {
  /** In use, and so all the while. */
  readonly catalog: ReplaceableCatalog;
  readonly repositories: readonly Repository[];
  readonly clusters: readonly ClusterName[];
  readonly signal: AbortSignal;
}

/**
 * Builds a new catalog from the repositories beside the one in use and puts it into its place. Whatever fails, the one in
 * use goes on; what is recorded and forgotten meanwhile is taken over.
 * @returns what was damaged, and what the new catalog says otherwise than the old one, in words
 * @throws as rebuildCatalog, and what the catalogs throw
 */
export async function rebuildAndReplace(request: RebuildAndReplace): Promise<readonly string[]> {
  const { catalog, repositories, clusters, signal } = request;
  const next = await catalog.beginReplacement();
  try {
    const notes: string[] = [];
    const note = (text: string): void => {
      notes.push(text);
    };
    await rebuildCatalog({ repositories, clusters, catalog: next.catalog, signal, note });
    const places = { repositories, clusters };
    const differences = await compareCatalogs({
      before: catalog,
      after: next.catalog,
      ...places,
      changed: (...entry) => next.changedMeanwhile(...entry),
    });
    await next.commit();
    return [...notes, ...differences];
  } catch (error) {
    await next.discard();
    throw error;
  }
}
