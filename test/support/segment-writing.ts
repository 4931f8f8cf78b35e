import { type WaldenError } from '../../src/errors.ts';
import { type Lsn, lsn, type TimelineId } from '../../src/postgres/lsn.ts';
import { segmentBytes, type WalFileName } from '../../src/postgres/wal-name.ts';
import { ReceiveSpool } from '../../src/wal/receive/receive-spool.ts';
import { SegmentWriter } from '../../src/wal/receive/segment-writer.ts';
import { newDirectory } from './sandbox.ts';

export const SIZE = segmentBytes(1 << 20);
export const START = lsn(5n * BigInt(SIZE));
export const FIFTH = '000000010000000000000005' as WalFileName;
export const SIXTH = '000000010000000000000006' as WalFileName;

/** A writer of the fifth segment, and what it told. */
export interface Writing {
  readonly spool: ReceiveSpool;
  readonly writer: SegmentWriter;
  readonly flushed: Lsn[];
  readonly finished: WalFileName[];
  readonly kept: string[];
  readonly failures: WaldenError[];
}

export async function startWriting(directory = newDirectory('spool')): Promise<Writing> {
  const spool = new ReceiveSpool(directory);
  await spool.open();
  const seen = {
    flushed: [] as Lsn[],
    finished: [] as WalFileName[],
    kept: [] as string[],
    failures: [] as WaldenError[],
  };
  const writer = new SegmentWriter(
    { spool, timeline: 1 as TimelineId, segmentBytes: SIZE, start: START },
    {
      flushed: (position) => seen.flushed.push(position),
      finished: (name) => seen.finished.push(name),
      differed: (_segment, path) => seen.kept.push(path),
      failed: (error) => seen.failures.push(error),
    },
  );
  return { spool, writer, ...seen };
}
