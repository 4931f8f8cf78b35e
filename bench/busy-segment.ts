import { randomBytes } from 'node:crypto';
import { SEGMENT_BYTES } from '../test/support/catalog-rows.ts';
import { commit, filler, WalBuilder } from '../test/support/wal-builder.ts';
import { type ArchiveShape, TRANSACTIONS_OF_SEGMENT } from './archive-shape.ts';

/** PostgreSQL counts from 2000, Unix from 1970. */
const POSTGRES_EPOCH = 946_684_800_000_000n;
const SMALL_RECORDS = 12;

/** A full segment of this place: 5,000 small transactions, half of the bytes compressible. */
export function busySegment(shape: ArchiveShape, position: number): Buffer {
  const builder = builderOf(shape, position);
  const begin = BigInt(shape.moment(position)) - POSTGRES_EPOCH;
  for (let number = 0; number < TRANSACTIONS_OF_SEGMENT; number += 1) {
    const xid = (shape.firstXid(position) + number) % 0x1_0000_0000;
    builder.add({ rmid: 10, info: 0, xid, body: randomBytes(1400) });
    for (let small = 0; small < SMALL_RECORDS; small += 1) builder.add({ ...filler(84), xid });
    builder.add(commit(xid, begin + BigInt(number) * 6_000n));
  }
  return ended(builder);
}

/** One that was switched away from after a single transaction. */
export function idleSegment(shape: ArchiveShape, position: number): Buffer {
  const builder = builderOf(shape, position);
  builder.add(commit(shape.firstXid(position), BigInt(shape.moment(position)) - POSTGRES_EPOCH));
  return ended(builder);
}

function builderOf(shape: ArchiveShape, position: number): WalBuilder {
  const place = { firstSegment: shape.segment(position), timeline: shape.timelineOf(position) };
  return new WalBuilder({ ...place, majorVersion: 17, segmentBytes: SEGMENT_BYTES });
}

function ended(builder: WalBuilder): Buffer {
  builder.switch();
  const [segment, ...more] = builder.segments;
  if (segment === undefined || more.length > 0) throw new Error('the transactions did not fit into one segment');
  return segment;
}
