import { createHash } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import type { ClusterIdentity } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { type ByteSource, readBytes } from '../platform/byte-source.ts';
import { workerTask } from '../platform/worker-pool.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { SegmentWalker } from '../postgres/segment-walker.ts';
import type { WalIndexFound } from '../postgres/wal-index-builder.ts';
import { StreamDecompressor } from '../repository/codec.ts';
import type { WalPlace } from '../wal/archive-view.ts';

/** On a worker: walks one stored segment for what the index does not say exactly. */
export const searchSegmentTask = workerTask<SearchSegmentInput, SearchSegmentOutput>('searchSegment');

export interface SearchSegmentInput {
  /** The stored object. */
  readonly bytes: ByteSource;
  /** For errors. */
  readonly object: string;
  readonly identity: ClusterIdentity;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  /** A partial one is walked as far as its records go. */
  readonly kind: 'segment' | 'partial';
  /** Of the plain bytes, as recorded. */
  readonly sha256: Sha256Hex;
  readonly xid: number | undefined;
  readonly restorePoint: string | undefined;
}

export interface SearchSegmentOutput {
  /** Commits and aborts of the transaction; ascending. */
  readonly transactionEnds: readonly WalPlace[];
  readonly restorePoints: readonly WalPlace[];
  readonly lastRecord: Lsn | undefined;
  /** Where that ends. */
  readonly end: Lsn;
  readonly index: WalIndexFound;
}

/** @throws CHECKSUM_MISMATCH, FORMAT_INVALID, SERVER_MISMATCH, and what the sender's source throws */
export async function searchSegment(input: SearchSegmentInput): Promise<SearchSegmentOutput> {
  const transactionEnds: WalPlace[] = [];
  const walker = new SegmentWalker({
    ...input.identity,
    timeline: input.timeline,
    segment: input.segment,
    kind: input.kind,
    onTransaction: ({ xid, end, time }) => {
      if (xid === input.xid) transactionEnds.push({ end, time });
    },
  });
  const decompressor = new StreamDecompressor(input.object, input.identity.segmentBytes);
  const hash = createHash('sha256');
  for await (const chunk of readBytes(input.bytes)) {
    for (const piece of decompressor.feed(chunk)) {
      hash.update(piece);
      walker.feed(piece);
    }
  }
  decompressor.finish();
  if (hash.digest('hex') !== input.sha256) {
    throw new WaldenError('CHECKSUM_MISMATCH', `${input.object} is not what was archived`);
  }
  const index = walker.finish();
  return {
    transactionEnds,
    restorePoints: index.restorePoints
      .filter(({ name }) => name === input.restorePoint)
      .map(({ lsn, time }) => ({ end: lsn, time })),
    lastRecord: walker.lastRecord,
    end: walker.end,
    index,
  };
}
