import type { Catalog } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import type { Repository } from './repository.ts';
import { ensureRepositoryFile, readRepositoryFile } from './repository-file.ts';

/**
 * Marks a new repository as Walden's, and recognises one that is. What has no `walden.json` although the catalog knows
 * objects in it is neither: a share that is not mounted, or a bucket of the same name.
 * @throws STORAGE_UNAVAILABLE for that, and what readRepositoryFile throws
 */
export async function beginOrRecognise(repository: Repository, catalog: Catalog): Promise<void> {
  if ((await readRepositoryFile(repository)) === undefined && (await isKnown(repository, catalog))) {
    throw new WaldenError(
      'STORAGE_UNAVAILABLE',
      `repository ${repository.name} is empty, but the catalog knows objects in it`,
      { hint: 'mount it; if it was emptied on purpose, remove catalog.sqlite from the state directory' },
    );
  }
  await ensureRepositoryFile(repository);
}

async function isKnown({ name }: Repository, catalog: Catalog): Promise<boolean> {
  for (const cluster of await catalog.clusters()) {
    if ((await catalog.lastArchived(name, cluster)) !== undefined) return true;
    if ((await catalog.backups(cluster)).some(({ repository }) => repository === name)) return true;
  }
  return false;
}
