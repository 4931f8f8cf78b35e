import type { WaldenError } from '../errors.ts';
import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { ReplaceableCatalog } from '../../catalog/replacement.ts';
import { compareCatalogs } from './compare-catalogs.ts';
import { keepKnown } from './keep-known.ts';
import { rebuildCatalog } from './rebuild-catalog.ts';
import { isAway, type Repository } from './repository.ts';

/** For a catalog that is to know soon what can be read now. */
export interface RebuildPart {
  /** These are read; of the others the new catalog says what the one in use says. */
  readonly read: ReadonlySet<RepositoryName>;
  /** Told of one that cannot be read now: of it, too, the new catalog says at least what the one in use says. */
  readonly away: (repository: RepositoryName, error: WaldenError) => void;
}

export interface RebuildAndReplace {
  /** In use, and so all the while. */
  readonly catalog: ReplaceableCatalog;
  readonly repositories: readonly Repository[];
  readonly clusters: readonly ClusterName[];
  readonly signal: AbortSignal;
  /** Without it all are read, and one that is away ends it. */
  readonly part?: RebuildPart | undefined;
}

/**
 * Builds a new catalog from the repositories beside the one in use and puts it into its place. Whatever fails, the one in
 * use goes on; what is recorded and forgotten meanwhile is taken over.
 * @returns what was damaged, and what the new catalog says otherwise than the old one, in words
 * @throws as rebuildCatalog, and what the catalogs throw
 */
export async function rebuildAndReplace(request: RebuildAndReplace): Promise<readonly string[]> {
  const { catalog, repositories, clusters, part, signal } = request;
  const next = await catalog.beginReplacement();
  try {
    const notes: string[] = [];
    const note = (text: string): void => {
      notes.push(text);
    };
    const known: Repository[] = [];
    for (const repository of repositories) {
      try {
        if (part !== undefined && !part.read.has(repository.name)) known.push(repository);
        else await rebuildCatalog({ repositories: [repository], clusters, catalog: next.catalog, signal, note });
      } catch (error) {
        if (part === undefined || !isAway(error)) throw error;
        part.away(repository.name, error);
        known.push(repository);
      }
    }
    for (const { name } of known)
      await keepKnown({ from: catalog, to: next.catalog, repository: name, clusters, signal });
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
