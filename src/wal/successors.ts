import type { TimelineId } from '../postgres/lsn.ts';
import { parseTimelineHistory } from '../postgres/timeline-history.ts';
import {
  type ParsedWalName,
  segmentName,
  segmentNumber,
  segmentNumberOfName,
  type WalFileName,
} from '../postgres/wal-name.ts';
import type { ArchiveContext } from './archive-context.ts';

/**
 * Names that recovery will probably ask for next. Where a timeline branches off, PostgreSQL reads each segment from the
 * newest timeline of its path that has it, from the segment of the switch on; a branch that began at or before this segment
 * is not on its path, or it would have been asked for instead. Only a guess for prefetching: the catalog's word decides
 * nothing here.
 */
export async function successors(
  context: ArchiveContext,
  file: ParsedWalName,
  count: number,
): Promise<readonly WalFileName[]> {
  const { segmentBytes } = context.identity;
  if (file.segment === undefined) return [];
  const current = segmentNumberOfName(file.segment, segmentBytes);
  const branches = (await branchesOf(context, file.timeline)).filter((branch) => branch.begin > current);
  const names: WalFileName[] = [];
  for (let number = current + 1n; number <= current + BigInt(count); number += 1n) {
    const newestFirst = branches.filter((branch) => branch.begin <= number).map((branch) => branch.timeline);
    for (const timeline of [...newestFirst, file.timeline]) {
      const name = segmentName(timeline, number, segmentBytes);
      if (await isKnown(context, name)) {
        names.push(name);
        break;
      }
    }
  }
  return names;
}

interface Branch {
  readonly timeline: TimelineId;
  /** The first segment that PostgreSQL would read from it. */
  readonly begin: bigint;
}

/** Timelines that descend from this one, newest first. */
async function branchesOf(context: ArchiveContext, parent: TimelineId): Promise<readonly Branch[]> {
  const branches = new Map<TimelineId, Branch>();
  for (const repository of context.repositories) {
    for (const record of await context.catalog.timelineHistories(repository.name, context.cluster)) {
      if (record.timeline <= parent || record.history === undefined) continue;
      const { ancestors } = parseTimelineHistory(record.history, record.timeline);
      const index = ancestors.findIndex((ancestor) => ancestor.timeline === parent);
      if (index < 0) continue;
      const last = ancestors.at(-1);
      if (last === undefined) continue;
      const begin = segmentNumber(last.switchLsn, context.identity.segmentBytes);
      branches.set(record.timeline, { timeline: record.timeline, begin });
    }
  }
  return [...branches.values()].sort((a, b) => b.timeline - a.timeline);
}

async function isKnown(context: ArchiveContext, name: WalFileName): Promise<boolean> {
  for (const repository of context.repositories) {
    if ((await context.catalog.walFile(repository.name, context.cluster, name)) !== undefined) return true;
  }
  return false;
}
