import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import { readClusterFile } from './cluster-file.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';
import { rebuildBackups } from './rebuild-backups.ts';
import { rebuildRetention } from './rebuild-retention.ts';
import { rebuildWal } from './rebuild-wal.ts';
import type { Repository } from './repository.ts';

export interface RebuildRequest {
  readonly repositories: readonly Repository[];
  readonly clusters: readonly ClusterName[];
  /** Empty. */
  readonly catalog: Catalog;
  readonly signal: AbortSignal;
  /** Told what was damaged and passed over, in words. */
  readonly note: (text: string) => void;
}

/**
 * Fills an empty catalog from what the repositories hold. Damaged objects are noted and passed over; a store out of reach
 * ends it, because a catalog with a part missing is worse than none.
 * @throws SERVER_MISMATCH when two repositories know one name as two clusters, INTERRUPTED, and the codes of a store out of
 * reach
 */
export async function rebuildCatalog(request: RebuildRequest): Promise<void> {
  const { repositories, clusters, ...rest } = request;
  for (const cluster of clusters) {
    for (const repository of repositories) {
      const archive: ArchiveRebuild = { ...rest, repository, cluster };
      if (!(await rebuildCluster(archive))) continue;
      await rebuildWal(archive);
      await rebuildBackups(archive);
      await rebuildRetention(archive);
    }
  }
}

/** Whether this repository knows the cluster. */
async function rebuildCluster(archive: ArchiveRebuild): Promise<boolean> {
  const { repository, cluster, catalog } = archive;
  assertGoingOn(archive.signal);
  let identity;
  try {
    const file = await readClusterFile(repository, cluster);
    if (file === undefined) return false;
    identity = file.history.at(-1) ?? file.history[0];
  } catch (error) {
    noteDamaged(archive, error);
    return true;
  }
  await catalog.registerCluster(cluster, identity);
  return true;
}
