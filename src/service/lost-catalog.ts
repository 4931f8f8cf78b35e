import type { Catalog } from '../../catalog/catalog.ts';
import { readClusterFile } from '../repository/cluster-file.ts';
import type { ClusterRoom } from './cluster-room.ts';

/**
 * Whether the catalog knows less than the repositories hold, so that it would answer that nothing can be recovered: it has
 * never heard of a cluster that is there, or a rebuild was begun and did not succeed. To be asked before a cluster is
 * registered. A repository that cannot be asked says nothing: who opens the cluster hears why.
 */
export async function isCatalogBehind(catalog: Catalog, rooms: Iterable<ClusterRoom>): Promise<boolean> {
  const jobs = await catalog.jobs(Number.MAX_SAFE_INTEGER);
  const last = jobs.find(({ kind }) => kind === 'catalog-rebuild');
  if (last !== undefined && last.state !== 'done') return true;
  for (const { config, repositories } of rooms) {
    if ((await catalog.clusterIdentity(config.name)) !== undefined) continue;
    for (const repository of repositories) {
      const file = await readClusterFile(repository, config.name).catch(() => undefined);
      if (file !== undefined) return true;
    }
  }
  return false;
}
