import type { Catalog } from '../../catalog/catalog.ts';
import { readClusterFile } from '../repository/cluster-file.ts';
import type { ClusterRoom } from './cluster-room.ts';

/**
 * Whether a repository holds a cluster that the catalog has never heard of: the catalog was lost, and would answer that
 * nothing can be recovered. To be asked before the cluster is registered.
 */
export async function isUnknownToCatalog(catalog: Catalog, { config, repositories }: ClusterRoom): Promise<boolean> {
  if ((await catalog.clusterIdentity(config.name)) !== undefined) return false;
  for (const repository of repositories) {
    if ((await readClusterFile(repository, config.name)) !== undefined) return true;
  }
  return false;
}
