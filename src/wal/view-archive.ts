import type { Catalog, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { wholeChains } from '../repository/backup-chain.ts';
import { parseTimelineHistory } from '../postgres/timeline-history.ts';
import type { ArchiveView, CompleteBackup } from './archive-view.ts';
import { withoutRuns } from './segment-runs.ts';

/** Reads what one repository holds of a cluster; undefined while nothing is known of the cluster. */
export async function viewArchive(
  catalog: Catalog,
  cluster: ClusterName,
  repository: RepositoryName,
): Promise<ArchiveView | undefined> {
  const identity = await catalog.clusterIdentity(cluster);
  if (identity === undefined) return undefined;
  const histories = await catalog.timelineHistories(repository, cluster);
  const { whole, broken } = wholeChains(await completeBackups(catalog, cluster, repository));
  const expired = await catalog.expired(repository, cluster);
  return {
    repository,
    cluster,
    segmentBytes: identity.segmentBytes,
    backups: whole,
    broken,
    histories: histories.map((record) => parseTimelineHistory(record.history ?? '', record.timeline)),
    // What is marked as removed counts as gone, whether its object is gone already or not.
    ranges: withoutRuns(await catalog.walRanges(repository, cluster), expired.wal),
    expired: expired.wal,
  };
}

/** Those of one repository that have all their objects; whether the backups that they build on are there is not asked. */
export async function completeBackups(
  catalog: Catalog,
  cluster: ClusterName,
  repository: RepositoryName,
): Promise<readonly CompleteBackup[]> {
  return (await catalog.backups(cluster)).filter(
    (backup): backup is CompleteBackup =>
      backup.repository === repository && backup.state === 'complete' && backup.facts !== undefined,
  );
}
