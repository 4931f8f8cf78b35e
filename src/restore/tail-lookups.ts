import type { CommitBounds, SegmentSpan } from '../../catalog/catalog.ts';
import type { TailSegment } from '../wal/tail.ts';
import type { ArchiveLookups } from './decide.ts';

/** The lookups of an archive, as if it held the tail. */
export function lookupsWithTail(archive: ArchiveLookups, tail: readonly TailSegment[]): ArchiveLookups {
  if (tail.length === 0) return archive;
  const within = ({ timeline, from, to }: SegmentSpan): readonly TailSegment[] =>
    tail.filter((one) => one.timeline === timeline && from <= one.segment && one.segment <= to);
  return {
    async commitBounds(span) {
      const known = await archive.commitBounds(span);
      return within(span).reduce((bounds, { index }) => widened(bounds, index), known);
    },
    async firstSegmentWithCommitAfter(span, time, orEqual) {
      const after = within(span).filter(({ index: { lastCommit } }) => {
        return lastCommit !== undefined && (orEqual ? lastCommit >= time : lastCommit > time);
      });
      const known = await archive.firstSegmentWithCommitAfter(span, time, orEqual);
      return [known, ...after.map(({ segment }) => segment)].reduce(smaller, undefined);
    },
    async restorePoints(name) {
      const known = await archive.restorePoints(name);
      const added = tail.flatMap(({ timeline, index }) =>
        index.restorePoints
          .filter((point) => point.name === name)
          .map(({ lsn, time }) => ({ end: lsn, time, timeline })),
      );
      return [...known, ...added].sort((a, b) => (a.end < b.end ? -1 : 1));
    },
    async transactionEnds(spans, xid) {
      const known = await archive.transactionEnds(spans, xid);
      const added = spans.flatMap(within).flatMap(({ transactionEnds }) => transactionEnds);
      return [...known, ...added].sort((a, b) => (a.end < b.end ? -1 : 1));
    },
    async lastRecord(timeline, segment) {
      const own = tail.find((one) => one.timeline === timeline && one.segment === segment);
      return own === undefined ? await archive.lastRecord(timeline, segment) : own.lastRecord;
    },
  };
}

function widened(known: CommitBounds, { firstCommit, lastCommit }: TailSegment['index']): CommitBounds {
  const { first, last } = known;
  return {
    first: smaller(first, firstCommit),
    last: last === undefined || (lastCommit !== undefined && lastCommit > last) ? (lastCommit ?? last) : last,
  };
}

function smaller<Value extends number | bigint>(a: Value | undefined, b: Value | undefined): Value | undefined {
  return a === undefined || (b !== undefined && b < a) ? (b ?? a) : a;
}
