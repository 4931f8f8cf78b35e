import { type Lsn, formatLsn } from '../../postgres/lsn.ts';
import { describeMicros, type Micros } from '../../postgres/timestamp.ts';
import { type SegmentBytes, segmentStart, type WalFileName } from '../../postgres/wal-name.ts';
import type { OldSegment } from './old-segment-task.ts';
import type { SegmentPlace } from './safe-wal.ts';

/** A segment of an old data directory, and what is known of it elsewhere. */
export interface SeenSegment extends SegmentPlace {
  readonly name: WalFileName;
  readonly found: OldSegment;
  /** Up to here its WAL is safe elsewhere. */
  readonly safe: Lsn;
  /** Another file of this name is stored. */
  readonly isNameTaken: boolean;
  /** It begins, as far as it goes, as the one that is stored. */
  readonly isPrefixOfStored: boolean;
  /** The server that is followed has it, and archives it in time. */
  readonly isWithUpstream: boolean;
  /** PostgreSQL has ended it and waits for its archiving. */
  readonly isReady: boolean;
  /** By its number WAL that the server has written, not one that waits to be written. */
  readonly isWritten: boolean;
}

/** What would be lost with the directory. */
export interface LostWal {
  readonly name: string;
  /**
   *   file        whole, and could be archived
   *   unreadable  its WAL cannot be read to its end
   *   end         transactions at the end of the WAL, in a segment that is not whole
   */
  readonly kind: 'file' | 'unreadable' | 'end';
  readonly transactions: number;
  readonly last: Micros | undefined;
  /** In words, behind the name; may be empty. */
  readonly words: string;
}

/**
 * What of these segments nobody else has and somebody may miss: whole segments, for without them the archive has a hole;
 * and of the last one of a timeline what was committed, for a checkpoint that nobody saw is no loss. Pure.
 */
export function judgeSegments(segments: readonly SeenSegment[], segmentBytes: SegmentBytes): readonly LostWal[] {
  return segments.flatMap((one) => {
    const isLast = !segments.some(
      ({ timeline, segment, found }) => timeline === one.timeline && segment > one.segment && found.kind !== 'foreign',
    );
    const lost = judge(one, isLast, segmentBytes);
    return lost === undefined ? [] : [lost];
  });
}

function judge(one: SeenSegment, isLast: boolean, segmentBytes: SegmentBytes): LostWal | undefined {
  const { name, found, isNameTaken, isReady, isWritten } = one;
  if (found.kind === 'stored' || one.isPrefixOfStored || one.isWithUpstream) return undefined;
  const nothing = { name, transactions: 0, last: undefined };
  switch (found.kind) {
    case 'foreign':
      if (isNameTaken || !(isReady || isWritten)) return undefined;
      return { ...nothing, kind: 'unreadable', words: ' (it cannot be read)' };
    case 'whole':
      return { ...nothing, kind: 'file', words: isNameTaken ? ' (other bytes than those that are stored)' : '' };
    case 'unfinished': {
      if ((isReady || !isLast) && one.safe < segmentStart(one.segment + 1n, segmentBytes)) {
        return { ...nothing, kind: 'unreadable', words: ` (it cannot be read behind ${formatLsn(found.end)})` };
      }
      const { count, last, mayBeMore } = found.lost;
      if (count === 0 && !mayBeMore) return undefined;
      return { name, kind: 'end', transactions: count, last, words: ` (${endWords(one)})` };
    }
  }
}

function endWords({ found: { lost }, safe }: SeenSegment): string {
  const { count, last, mayBeMore } = lost;
  const transactions =
    count === 0
      ? 'perhaps a transaction'
      : `${mayBeMore ? 'at least ' : ''}${count} ${count === 1 ? 'transaction' : 'transactions'}`;
  const behind = safe > 0n ? ` behind ${formatLsn(safe)}` : '';
  return `${transactions}${behind}${last === undefined ? '' : `, the last committed at ${describeMicros(last)}`}`;
}
