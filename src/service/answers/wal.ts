import type { Static } from '../../typebox.ts';
import type { Catalog } from '../../../catalog/catalog.ts';
import type { ClusterConfig } from '../../config/config.ts';
import { findGaps, findGapsInside } from '../../wal/gaps.ts';
import { viewArchive } from '../../wal/view-archive.ts';
import type { WalGapsDocument, WalListDocument, WalRangeDocument } from '../api.ts';
import { momentOrNull, runOfSegments } from './documents.ts';

/** What the archive holds, as unbroken runs per timeline. */
export async function walList(catalog: Catalog, cluster: ClusterConfig): Promise<WalListDocument> {
  const identity = await catalog.clusterIdentity(cluster.name);
  const ranges: Static<typeof WalRangeDocument>[] = [];
  if (identity === undefined) return { cluster: cluster.name, ranges };
  for (const repository of cluster.repositories) {
    for (const range of await catalog.walRanges(repository, cluster.name)) {
      const span = { timeline: range.timeline, from: range.first, to: range.last };
      const commits = await catalog.commitBounds(repository, cluster.name, span);
      ranges.push({
        repository,
        ...runOfSegments(range, identity.segmentBytes),
        storedBytes: range.storedBytes,
        firstCommit: momentOrNull(commits.first),
        lastCommit: momentOrNull(commits.last),
      });
    }
  }
  return { cluster: cluster.name, ranges };
}

/** What is missing in each repository between what it holds. */
export async function walGaps(catalog: Catalog, cluster: ClusterConfig): Promise<WalGapsDocument> {
  const gaps: WalGapsDocument['gaps'] = [];
  for (const repository of cluster.repositories) {
    const archive = await viewArchive(catalog, cluster.name, repository);
    if (archive === undefined) continue;
    // What comes to the others in the background may not have come as far as the history of the newest timeline yet.
    const find = cluster.required.includes(repository) ? findGaps : findGapsInside;
    for (const gap of find(archive)) {
      gaps.push({ repository, ...runOfSegments(gap, archive.segmentBytes) });
    }
  }
  return { cluster: cluster.name, gaps };
}
