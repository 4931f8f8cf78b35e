import type { SegmentRun } from '../../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../../postgres/lsn.ts';
import { segmentNumber } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { ArchiveView } from '../archive-view.ts';
import { findGaps } from '../gaps.ts';
import type { Ancestry } from '../path-coverage.ts';
import { holdsSegment, mergedRuns } from '../segment-runs.ts';
import { viewArchive } from '../view-archive.ts';
import { differenceOf, type Histories } from './node-history.ts';

/** What the required repositories hold of a cluster, by the catalog. */
export interface ArchiveState {
  readonly views: readonly ArchiveView[];
  /** Those of any of them: what is stored under one name is the same everywhere. */
  readonly histories: Histories;
}

export async function readArchive({
  catalog,
  cluster,
  required,
}: Pick<ArchiveContext, 'catalog' | 'cluster' | 'required'>): Promise<ArchiveState> {
  const views: ArchiveView[] = [];
  for (const { name } of required) {
    const view = await viewArchive(catalog, cluster, name);
    if (view !== undefined) views.push(view);
  }
  return stateOf(views);
}

/** With histories that are about to be stored. Pure. */
export function withHistories({ views }: ArchiveState, more: readonly Ancestry[]): ArchiveState {
  const added = (view: ArchiveView): readonly Ancestry[] =>
    more.filter(({ timeline }) => !view.histories.some((known) => known.timeline === timeline));
  return stateOf(views.map((view) => ({ ...view, histories: [...view.histories, ...added(view)] })));
}

function stateOf(views: readonly ArchiveView[]): ArchiveState {
  const histories = new Map<TimelineId, Ancestry>();
  for (const { histories: known } of views) {
    for (const history of known) if (!histories.has(history.timeline)) histories.set(history.timeline, history);
  }
  return { views, histories };
}

/** What is missing in any of them, each segment once; ascending by timeline and segment. Pure. */
export function missingSegments({ views }: ArchiveState): readonly SegmentRun[] {
  return mergedRuns(views.flatMap(findGaps));
}

/** Whether one of them neither has this segment nor had it removed by retention. Pure. */
export function lacksSegment({ views }: ArchiveState, timeline: TimelineId, segment: bigint): boolean {
  return views.some(
    ({ ranges, expired }) =>
      !holdsSegment(ranges, timeline, segment) && !holdsSegment(expired ?? [], timeline, segment),
  );
}

/** The newest timeline of which there is WAL or a history; 0: none. Pure. */
export function newestKnown({ views, histories }: ArchiveState): TimelineId | 0 {
  const timelines = [...histories.keys(), ...views.flatMap(({ ranges }) => ranges.map(({ timeline }) => timeline))];
  return timelines.reduce<TimelineId | 0>((newest, timeline) => (timeline > newest ? timeline : newest), 0);
}

/**
 * Whether the history of a timeline is wanted which one of the repositories lacks: there is WAL of that timeline or of one
 * that comes from it; or the cluster went on with it, and it shows that WAL is missing before its fork. That of a copy which was
 * restored and promoted shows no such thing: it had its WAL from the archive, and must not become the newest timeline there.
 * Pure.
 */
export function wantsHistory(state: ArchiveState, history: Ancestry, isSuccessor: boolean): boolean {
  const { timeline, ancestors } = history;
  if (state.views.every(({ histories }) => histories.some((known) => known.timeline === timeline))) return false;
  const stored = state.histories.get(timeline);
  if (stored !== undefined) return differenceOf(history, stored) === undefined;
  if (isOfDescendant(state, history) || isOfHeldWal(state, history)) return true;
  const newest = newestKnown(state);
  const fork = ancestors.at(-1)?.switchLsn;
  if (!isSuccessor || fork === undefined || !ancestors.some((one) => one.timeline === newest)) return false;
  return state.views.some(({ ranges, segmentBytes }) => {
    const last = ranges.findLast((range) => range.timeline === newest)?.last;
    return last !== undefined && segmentNumber(fork, segmentBytes) > last + 1n;
  });
}

/** Whether a history that is there says the same of this timeline on its way. */
function isOfDescendant({ histories }: ArchiveState, history: Ancestry): boolean {
  return [...histories.values()].some(({ ancestors }) => {
    const at = ancestors.findIndex(({ timeline }) => timeline === history.timeline);
    return at >= 0 && differenceOf(history, { ...history, ancestors: ancestors.slice(0, at) }) === undefined;
  });
}

/** Whether there is WAL of this timeline, none of it from before its fork. */
function isOfHeldWal({ views }: ArchiveState, { timeline, ancestors }: Ancestry): boolean {
  return views.some(({ ranges, segmentBytes }) => {
    const first = ranges.find((range) => range.timeline === timeline)?.first;
    return first !== undefined && first >= segmentNumber(ancestors.at(-1)?.switchLsn ?? (0n as Lsn), segmentBytes);
  });
}
