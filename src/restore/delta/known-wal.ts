import type { ClusterIdentity, ClusterName, RepositoryName, SegmentRun } from '../../../catalog/catalog.ts';
import type { ObjectKey } from '../../../storage-drivers/driver.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import { parseWalName, segmentNumber, segmentNumberOfName } from '../../postgres/wal-name.ts';
import { isAway, type Repository } from '../../repository/repository.ts';
import type { Ancestry } from '../../wal/path-coverage.ts';
import { readSpooledTail } from '../../wal/receive/spooled-tail.ts';
import { holdsSegment } from '../../wal/segment-runs.ts';
import { listUnfinished } from '../../wal/unfinished.ts';
import type { PlanDeps } from '../plan.ts';
import type { SafeWal, SegmentPlace } from './safe-wal.ts';

/** What the repositories, and a receiver on this host, have of the WAL of a cluster. */
export interface KnownElsewhere {
  readonly histories: readonly Ancestry[];
  readonly tails: SafeWal['tails'];
  readonly holds: (place: SegmentPlace) => boolean;
  /** A repository's, whose bytes were found damaged: what is stored there counts as not stored. */
  readonly isDamaged: (repository: RepositoryName, key: ObjectKey) => boolean;
  readonly isExpired: (place: SegmentPlace) => boolean;
  /** The first segment that the oldest backup needs. */
  readonly neededFrom: bigint;
}

/** @throws what asking the catalog and listing the repositories throws; LOCAL_IO (the spool) */
export async function knownElsewhere(
  deps: PlanDeps,
  cluster: ClusterName,
  identity: ClusterIdentity,
  signal: AbortSignal,
): Promise<KnownElsewhere> {
  const { catalog, repositories } = deps;
  const histories: Ancestry[] = [];
  const ranges: SegmentRun[] = [];
  const expired: SegmentRun[] = [];
  // The spool before the catalog: what leaves the one is in the other by then.
  const tails = await tailsOf(deps, cluster, identity, signal);
  for (const { name } of repositories) {
    for (const { history, timeline } of await catalog.timelineHistories(name, cluster)) {
      histories.push(parseTimelineHistory(history ?? '', timeline));
    }
    ranges.push(...(await catalog.walRanges(name, cluster)));
    expired.push(...(await catalog.expired(name, cluster)).wal);
  }
  const starts = (await catalog.backups(cluster)).flatMap(({ state, facts }) =>
    state === 'complete' && facts?.identity.systemIdentifier === identity.systemIdentifier
      ? [segmentNumber(facts.startLsn, identity.segmentBytes)]
      : [],
  );
  const damaged = await catalog.proof.damagedObjects(cluster);
  return {
    histories,
    tails,
    isDamaged: (repository, key) => damaged.some((one) => one.repository === repository && one.key === key),
    holds: ({ timeline, segment }) => holdsSegment(ranges, timeline, segment),
    isExpired: ({ timeline, segment }) => holdsSegment(expired, timeline, segment),
    neededFrom: starts.reduce((first, one) => (one < first ? one : first), starts[0] ?? 0n),
  };
}

async function tailsOf(
  { tail, pool, repositories }: PlanDeps,
  cluster: ClusterName,
  identity: ClusterIdentity,
  signal: AbortSignal,
): Promise<SafeWal['tails']> {
  const spooled = tail === undefined ? [] : (await readSpooledTail(tail, { identity, pool })).segments;
  const stored = await Promise.all(repositories.map((repository) => storedTails(repository, cluster, signal)));
  return [
    ...spooled.map(({ timeline, segment, end }) => ({ timeline, segment, end })),
    ...stored.flat().map(({ segment: name, end }) => {
      const { timeline } = parseWalName(name);
      return { timeline, segment: segmentNumberOfName(name, identity.segmentBytes), end };
    }),
  ];
}

/** Nothing of one that is away: what it may have counts as not there. */
async function storedTails(
  repository: Repository,
  cluster: ClusterName,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof listUnfinished>>> {
  try {
    return await listUnfinished(repository, cluster, signal);
  } catch (error) {
    if (!isAway(error)) throw error;
    return [];
  }
}
