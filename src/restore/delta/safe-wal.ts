import type { Lsn, TimelineId } from '../../postgres/lsn.ts';
import { type SegmentBytes, segmentNumber, segmentStart } from '../../postgres/wal-name.ts';
import { type Ancestry, pathOf, type PathStep } from '../../wal/path-coverage.ts';

/** A segment by its place. */
export interface SegmentPlace {
  readonly timeline: TimelineId;
  readonly segment: bigint;
}

/** What is known of WAL outside of an old data directory, besides whole segments. */
export interface SafeWal {
  readonly segmentBytes: SegmentBytes;
  /** The server that is to be followed: up to `flushed` on the last step it has everything, and up to each fork before. */
  readonly upstream: { readonly path: readonly PathStep[]; readonly flushed: Lsn } | undefined;
  /** Of the repositories and of the directory itself. */
  readonly histories: readonly Ancestry[];
  /** Whether the segment is stored somewhere, or stands in the directory and is looked at for itself. */
  readonly isCovered: (place: SegmentPlace) => boolean;
  /** Segments that were being received, as far as they had come. */
  readonly tails: readonly (SegmentPlace & { readonly end: Lsn })[];
}

/**
 * Up to where the WAL of a segment is safe, although no repository holds the segment: on the server that is followed, in the
 * first segment of the timeline that forked off in it, which begins with a copy (XLogInitNewTimeline), or in a tail.
 * Pure. @returns 0/0 when none of it is
 */
export function safeUpTo({ segmentBytes, upstream, histories, isCovered, tails }: SafeWal, place: SegmentPlace): Lsn {
  const { timeline, segment } = place;
  const followed = upstream?.path.find((step) => step.timeline === timeline);
  const forks = histories.flatMap((history) => {
    const path = pathOf(history);
    const at = path.findIndex((step) => step.timeline === timeline);
    const [end, next] = [path[at]?.end, path[at + 1]];
    if (end === undefined || next === undefined || segmentNumber(end, segmentBytes) !== segment) return [];
    return isCovered({ timeline: next.timeline, segment }) ? [end] : [];
  });
  const received = tails.filter((tail) => tail.timeline === timeline && tail.segment === segment);
  const known = [
    ...(upstream === undefined || followed === undefined ? [] : [followed.end ?? upstream.flushed]),
    ...forks,
    ...received.map(({ end }) => end),
  ];
  return known.reduce((furthest, one) => (one > furthest ? one : furthest), 0n as Lsn);
}

/** Whether the server that is followed still writes this timeline and has all of the segment: it archives it in time. */
export function isWithUpstream({ upstream, segmentBytes }: SafeWal, { timeline, segment }: SegmentPlace): boolean {
  const last = upstream?.path.at(-1);
  if (upstream === undefined || last?.timeline !== timeline) return false;
  return segmentStart(segment + 1n, segmentBytes) <= upstream.flushed;
}
