import { WaldenError } from '../errors.ts';
import { type Lsn, lsn, type SystemIdentifier, systemIdentifier, type TimelineId, timelineId } from './lsn.ts';
import { type SegmentBytes, segmentBytes } from './wal-name.ts';

/** WAL pages (xlog_internal.h): little-endian, 8 KiB, a short header on each, a long one on the first of a segment. */
export const WAL_PAGE_BYTES = 8192;
export const SHORT_HEADER_BYTES = 24;
export const LONG_HEADER_BYTES = 40;

/** xlp_info: the page begins with the rest of a record of the page before. */
export const FIRST_IS_CONTRECORD = 0x0001;
/** xlp_info: the page has the long header. */
export const LONG_HEADER = 0x0002;
/** xlp_info: the record that was to continue here was given up after a crash. */
export const FIRST_IS_OVERWRITE_CONTRECORD = 0x0008;

/** XLOG_PAGE_MAGIC of each release. */
const MAJOR_OF_MAGIC: ReadonlyMap<number, number> = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);

/** What the long header on a segment's first page says. */
export interface SegmentHeader {
  readonly majorVersion: number;
  readonly timeline: TimelineId;
  /** Where the page belongs: a recycled file still carries the address of its earlier life. */
  readonly pageAddress: Lsn;
  readonly systemIdentifier: SystemIdentifier;
  readonly segmentBytes: SegmentBytes;
}

/** The release that writes this page magic, or undefined. */
export function majorVersionOfMagic(magic: number): number | undefined {
  return MAJOR_OF_MAGIC.get(magic);
}

/** Reads the first `LONG_HEADER_BYTES` of a segment. @throws FORMAT_INVALID */
export function readSegmentHeader(bytes: Uint8Array): SegmentHeader {
  if (bytes.length < LONG_HEADER_BYTES) throw new WaldenError('FORMAT_INVALID', 'the segment has no page header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, LONG_HEADER_BYTES);
  const majorVersion = majorVersionOfMagic(view.getUint16(0, true));
  if (majorVersion === undefined) {
    throw new WaldenError('FORMAT_INVALID', `it does not begin as WAL of PostgreSQL 13 to 18`, {
      details: { magic: view.getUint16(0, true).toString(16) },
    });
  }
  if ((view.getUint16(2, true) & LONG_HEADER) === 0) {
    throw new WaldenError('FORMAT_INVALID', 'it does not begin with the header of a segment');
  }
  if (view.getUint32(36, true) !== WAL_PAGE_BYTES) {
    throw new WaldenError('FORMAT_INVALID', `its WAL pages have ${view.getUint32(36, true)} bytes`);
  }
  return {
    majorVersion,
    timeline: timelineId(view.getUint32(4, true)),
    pageAddress: lsn(view.getBigUint64(8, true)),
    systemIdentifier: systemIdentifier(view.getBigUint64(24, true).toString()),
    segmentBytes: segmentBytes(view.getUint32(32, true)),
  };
}
