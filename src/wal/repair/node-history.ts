import type { SegmentRun } from '../../../catalog/catalog.ts';
import { formatLsn, type Lsn, type TimelineId } from '../../postgres/lsn.ts';
import type { SegmentBytes } from '../../postgres/wal-name.ts';
import type { Ancestry } from '../path-coverage.ts';

/** By timeline, as the history files say. Timeline 1 has none, and no ancestors. */
export type Histories = ReadonlyMap<TimelineId, Ancestry>;

/** What a node says of the WAL that it has. */
export interface NodeHistory {
  /** Of the timeline that it is on. */
  readonly ancestry: Ancestry;
  /** Where its WAL ends on that timeline. */
  readonly end: Lsn;
}

export interface Judged {
  /** Whose bytes on this node are those of the archive's history. */
  readonly may: SegmentRun | undefined;
  /** The rest, and why. */
  readonly refused: { readonly run: SegmentRun; readonly reason: string } | undefined;
}

/** The history of a timeline; undefined: it is not known. */
export function historyOf(histories: Histories, timeline: TimelineId): Ancestry | undefined {
  return timeline === 1 ? { timeline, ancestors: [] } : histories.get(timeline);
}

/** Why the same timeline is not the same WAL in both; undefined: it is. Pure. */
export function differenceOf(theirs: Ancestry, ours: Ancestry, whose = 'the archive'): string | undefined {
  for (let at = 0; at < Math.max(theirs.ancestors.length, ours.ancestors.length); at += 1) {
    const [their, our] = [theirs.ancestors[at], ours.ancestors[at]];
    if (their?.timeline === our?.timeline && their?.switchLsn === our?.switchLsn) continue;
    const words = (one: Ancestry['ancestors'][number] | undefined): string =>
      one === undefined ? 'ends' : `leaves timeline ${one.timeline} at ${formatLsn(one.switchLsn)}`;
    return `its timeline ${theirs.timeline} ${words(their)} on its way, that of ${whose} ${words(our)}`;
  }
  return undefined;
}

/**
 * What of a run, which belongs to the archive's history of its timeline, a node may give: the node must have come the same
 * way to this timeline, and every byte must lie before the place where the node left it or its WAL ends. Pure.
 */
export function judgeRun(
  run: SegmentRun,
  node: NodeHistory,
  ours: Ancestry | undefined,
  segmentBytes: SegmentBytes,
): Judged {
  const refuse = (reason: string): Judged => ({ may: undefined, refused: { run, reason } });
  const { ancestry } = node;
  const at = ancestry.ancestors.findIndex(({ timeline }) => timeline === run.timeline);
  if (at < 0 && ancestry.timeline !== run.timeline) {
    return refuse(`other history: it is on timeline ${ancestry.timeline}, which does not come from ${run.timeline}`);
  }
  if (ours === undefined) return refuse(`the archive has no history of timeline ${run.timeline}`);
  const left = ancestry.ancestors[at];
  const theirs = {
    timeline: run.timeline,
    ancestors: left === undefined ? ancestry.ancestors : ancestry.ancestors.slice(0, at),
  };
  const difference = differenceOf(theirs, ours);
  if (difference !== undefined) return refuse(`other history: ${difference}`);
  const end = left?.switchLsn ?? node.end;
  // The number of segments that lie before it with their last byte.
  const whole = end / BigInt(segmentBytes);
  if (run.last < whole) return { may: run, refused: undefined };
  const reason =
    left === undefined
      ? `its WAL ends at ${formatLsn(end)}`
      : `other history: it left timeline ${run.timeline} at ${formatLsn(end)}`;
  if (run.first >= whole) return refuse(reason);
  return { may: { ...run, last: whole - 1n }, refused: { run: { ...run, first: whole }, reason } };
}

export interface Fork {
  /** The timeline that goes on. */
  readonly timeline: TimelineId;
  /** The first segment that is read from it. */
  readonly segment: bigint;
}

/** Where the newest timeline of the archive left this one; undefined: it has not. Pure. */
export function forkOf(histories: Histories, timeline: TimelineId, segmentBytes: SegmentBytes): Fork | undefined {
  const newest = [...histories.values()].reduce<Ancestry | undefined>(
    (best, one) => (best === undefined || one.timeline > best.timeline ? one : best),
    undefined,
  );
  const at = newest?.ancestors.findIndex((one) => one.timeline === timeline) ?? -1;
  const left = newest?.ancestors[at];
  if (newest === undefined || left === undefined) return undefined;
  const next = newest.ancestors[at + 1]?.timeline ?? newest.timeline;
  return { timeline: next, segment: left.switchLsn / BigInt(segmentBytes) };
}
