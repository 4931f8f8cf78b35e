import type { Catalog, ClusterName, SegmentSpan, WalFileRecord } from '../../catalog/catalog.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import { segmentName } from '../postgres/wal-name.ts';
import type { Repository } from '../repository/repository.ts';
import { runOnObject } from '../repository/run-on-object.ts';
import type { ArchiveView, WalPlace } from '../wal/archive-view.ts';
import type { ArchiveLookups } from './decide.ts';
import { searchSegmentTask, type SearchSegmentOutput } from './search-segment-task.ts';

export interface LookupPlace {
  readonly catalog: Catalog;
  readonly pool: WorkerPool;
  readonly repository: Repository;
  readonly cluster: ClusterName;
  readonly archive: ArchiveView;
}

/** By the catalog's index; where that is not exact, by walking the segments in question. */
export function archiveLookups(place: LookupPlace, signal?: AbortSignal): ArchiveLookups {
  const { catalog, cluster, repository } = place;
  return {
    commitBounds: (span) => catalog.commitBounds(repository.name, cluster, span),
    firstSegmentWithCommitAfter: (span, time, orEqual) =>
      catalog.firstSegmentWithCommitAfter(repository.name, cluster, span, time, orEqual),
    restorePoints: (name) => restorePoints(place, name, signal),
    transactionEnds: (spans, xid) => transactionEnds(place, spans, xid, signal),
    lastRecord: async (timeline, segment) => (await searchStored(place, timeline, segment, {}, signal))?.lastRecord,
  };
}

async function restorePoints(
  place: LookupPlace,
  name: string,
  signal: AbortSignal | undefined,
): Promise<readonly (WalPlace & { readonly timeline: TimelineId })[]> {
  const { catalog, cluster, repository } = place;
  const known = await catalog.restorePoints(repository.name, cluster, name);
  if (known.length > 0) return known.map(({ lsn, time, timeline }) => ({ end: lsn, time, timeline }));
  // A segment with hundreds of restore points names only some in its index.
  const found: (WalPlace & { readonly timeline: TimelineId })[] = [];
  for await (const { index, segment, timeline, kind } of catalog.walFiles(repository.name, cluster)) {
    if (kind !== 'segment' || segment === undefined || (index?.restorePointsOmitted ?? 0) === 0) continue;
    const searched = await searchStored(place, timeline, segment, { restorePoint: name }, signal);
    found.push(...(searched?.restorePoints ?? []).map((point) => ({ ...point, timeline })));
  }
  return found.sort((a, b) => (a.end < b.end ? -1 : 1));
}

async function transactionEnds(
  place: LookupPlace,
  spans: readonly SegmentSpan[],
  xid: number,
  signal: AbortSignal | undefined,
): Promise<readonly WalPlace[]> {
  const { catalog, cluster, repository, pool } = place;
  const found: WalPlace[] = [];
  for (const span of spans) {
    const segments = await catalog.segmentsThatMayHoldXid(repository.name, cluster, span, xid);
    for (let index = 0; index < segments.length; index += pool.threads) {
      const some = segments.slice(index, index + pool.threads);
      const searched = await Promise.all(
        some.map((segment) => searchStored(place, span.timeline, segment, { xid }, signal)),
      );
      found.push(...searched.flatMap((one) => one?.transactionEnds ?? []));
    }
  }
  return found;
}

/** undefined when the catalog does not know the segment. @throws as the task, and what the driver's `get` throws */
async function searchStored(
  { catalog, cluster, repository, pool, archive }: LookupPlace,
  timeline: TimelineId,
  segment: bigint,
  wanted: { readonly xid?: number; readonly restorePoint?: string },
  signal: AbortSignal | undefined,
): Promise<SearchSegmentOutput | undefined> {
  const name = segmentName(timeline, segment, archive.segmentBytes);
  const record: WalFileRecord | undefined = await catalog.walFile(repository.name, cluster, name);
  const identity = archive.backups[0]?.facts.identity;
  if (record === undefined || identity === undefined) return undefined;
  const { key, sha256 } = record;
  return await runOnObject(pool, searchSegmentTask, { driver: repository.driver, key, signal }, (bytes) => ({
    ...{ bytes, object: `${key} of repository ${repository.name}`, identity, timeline, segment, sha256 },
    kind: 'segment' as const,
    xid: wanted.xid,
    restorePoint: wanted.restorePoint,
  }));
}
