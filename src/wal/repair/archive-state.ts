import type { SegmentRun } from '../../../catalog/catalog.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { ArchiveView } from '../archive-view.ts';
import { findGaps } from '../gaps.ts';
import type { Ancestry } from '../path-coverage.ts';
import { holdsSegment, mergedRuns } from '../segment-runs.ts';
import { viewArchive } from '../view-archive.ts';
import type { Histories } from './node-history.ts';

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
 * that comes from it, or the cluster goes on with it. That of a copy which somebody promoted and gave up is not. Pure.
 */
export function wantsHistory(state: ArchiveState, history: Ancestry, isSuccessor: boolean): boolean {
  const { timeline } = history;
  const lacks = state.views.some(({ histories }) => !histories.some((known) => known.timeline === timeline));
  if (!lacks) return false;
  if (state.histories.has(timeline)) return true;
  const isKnown =
    state.views.some(({ ranges }) => ranges.some((range) => range.timeline === timeline)) ||
    [...state.histories.values()].some(({ ancestors }) => ancestors.some((one) => one.timeline === timeline));
  if (isKnown) return true;
  const newest = newestKnown(state);
  return isSuccessor && history.ancestors.some((one) => one.timeline === newest);
}
