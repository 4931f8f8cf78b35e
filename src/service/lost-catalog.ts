import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import { readClusterFile } from '../repository/cluster-file.ts';
import { isAway, type Repository } from '../repository/repository.ts';
import type { ClusterRoom } from './cluster-room.ts';

/**
 * Whether the catalog knows less than the repositories hold, so that it would answer that nothing can be recovered: it has
 * never heard of a cluster that is there, or a rebuild was begun and did not succeed. To be asked before a cluster is
 * registered. A new cluster is one that no required repository knows: one that cannot be asked may know it.
 */
export async function isCatalogBehind(catalog: Catalog, rooms: Iterable<ClusterRoom>): Promise<boolean> {
  const jobs = await catalog.jobs(Number.MAX_SAFE_INTEGER);
  const last = jobs.find(({ kind }) => kind === 'catalog-rebuild');
  if (last !== undefined && last.state !== 'done') return true;
  for (const { config, repositories, required } of rooms) {
    if ((await catalog.clusterIdentity(config.name)) !== undefined) continue;
    for (const repository of repositories) {
      if (await mayKnow(repository, config.name, required.includes(repository))) return true;
    }
  }
  return false;
}

async function mayKnow(repository: Repository, cluster: ClusterName, isRequired: boolean): Promise<boolean> {
  try {
    return (await readClusterFile(repository, cluster)) !== undefined;
  } catch (error) {
    // What is damaged says nothing: who opens the cluster hears why.
    return isRequired && isAway(error);
  }
}
