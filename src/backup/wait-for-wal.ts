import { WaldenError } from '../errors.ts';
import type { Catalog, ClusterName, WalRange } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import { lsn, type Lsn, type TimelineId } from '../postgres/lsn.ts';
import { type SegmentBytes, segmentName, segmentNumber } from '../postgres/wal-name.ts';
import type { Repository } from '../repository/repository.ts';

/** What a backup needs to be consistent: the segments from its start to its stop, both included. */
export interface NeededWal {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
  readonly segmentBytes: SegmentBytes;
}

const POLL_MS = 250;

/** The stop LSN is the end of a record: at the beginning of a segment, the one before is the last (xlog.c, XLByteToPrevSeg). */
export function neededWal(timeline: TimelineId, start: Lsn, stop: Lsn, segmentBytes: SegmentBytes): NeededWal {
  const last = segmentNumber(lsn(stop - 1n), segmentBytes);
  return { timeline, first: segmentNumber(start, segmentBytes), last, segmentBytes };
}

/** The first needed segment that is in none of the ranges, or undefined. Pure. */
export function firstMissing(needed: NeededWal, ranges: readonly WalRange[]): bigint | undefined {
  let next = needed.first;
  for (const range of ranges) {
    if (range.timeline !== needed.timeline || range.last < next) continue;
    if (range.first > next) break;
    next = range.last + 1n;
  }
  return next > needed.last ? undefined : next;
}

/**
 * Waits until every repository holds the WAL without a gap. The deadline counts from the last time that anything arrived:
 * an archiver that is behind is waited for as long as it moves.
 * @throws ARCHIVE_TIMEOUT naming the segment that is missing, INTERRUPTED
 */
export async function waitForWal(
  deps: { readonly catalog: Catalog; readonly clock: Clock; readonly repositories: readonly Repository[] },
  cluster: ClusterName,
  needed: NeededWal,
  {
    signal,
    patienceSeconds,
    hint,
  }: { readonly signal: AbortSignal; readonly patienceSeconds: number; readonly hint?: string | undefined },
): Promise<void> {
  const { catalog, clock, repositories } = deps;
  const patienceMs = patienceSeconds * 1000;
  for (const { name } of repositories) {
    let seen: string | undefined;
    // Counted rather than read off a clock, which may be set meanwhile.
    let waitedMs = 0;
    for (;;) {
      signal.throwIfAborted();
      const missing = firstMissing(needed, await catalog.walRanges(name, cluster));
      if (missing === undefined) break;
      const last = await catalog.lastArchived(name, cluster);
      const state = `${missing} ${last?.name ?? ''} ${last?.archivedAt ?? ''}`;
      if (state !== seen) waitedMs = 0;
      seen = state;
      if (waitedMs > patienceMs) {
        const segment = segmentName(needed.timeline, missing, needed.segmentBytes);
        const refusal = (await catalog.refusals(cluster)).find((refused) => refused.name === segment);
        const details = { segment, repository: name };
        throw timeout(details, refusal?.error.message, patienceSeconds, hint);
      }
      await clock.sleep(POLL_MS, signal);
      waitedMs += POLL_MS;
    }
  }
}

function timeout(
  details: { readonly segment: string; readonly repository: string },
  refused: string | undefined,
  seconds: number,
  hint: string | undefined,
): WaldenError {
  const { segment, repository } = details;
  const fact = refused === undefined ? '' : `; it was refused: ${refused}`;
  return new WaldenError(
    'ARCHIVE_TIMEOUT',
    `the backup needs the segment ${segment}, and nothing arrived in repository ${repository} for ${seconds} seconds${fact}`,
    { details, ...(hint === undefined ? {} : { hint }) },
  );
}
