import { WaldenError } from '../errors.ts';
import { type Lsn, lsn, type TimelineId, timelineId } from './lsn.ts';

/**
 * Names of WAL files, as PostgreSQL builds them (xlog_internal.h). A segment's name is timeline, "log" and segment in
 * eight hex digits each; how many segments make a log depends on the segment size, so a name alone gives no LSN.
 */
export type WalFileName = string & { readonly __walFileName: unique symbol };

/** Bytes of one segment: a power of two, 1 MiB to 1 GiB. */
export type SegmentBytes = number & { readonly __segmentBytes: unique symbol };

export type WalFileKind = 'segment' | 'partial' | 'history' | 'backup';

export interface ParsedWalName {
  readonly name: WalFileName;
  readonly kind: WalFileKind;
  readonly timeline: TimelineId;
  /** The 24 digits for segment, partial and backup; undefined for a history file. */
  readonly segment: WalFileName | undefined;
  /** For a backup history file: byte offset of the backup's start in the segment. */
  readonly offset: number | undefined;
}

const HEX8 = '[0-9A-F]{8}';
const PATTERN = new RegExp(`^(${HEX8})(?:(${HEX8})(${HEX8})(\\.partial|\\.(${HEX8})\\.backup)?|(\\.history))$`);

/** @throws FORMAT_INVALID for anything that PostgreSQL would not archive, paths included. */
export function parseWalName(text: string): ParsedWalName {
  const match = PATTERN.exec(text);
  const timelineDigits = match?.[1];
  if (match === null || timelineDigits === undefined || /^0{8}$/.test(timelineDigits)) {
    throw new WaldenError('FORMAT_INVALID', `${JSON.stringify(text)} is not the name of a WAL file`, {
      hint: 'archive_command must pass %p, restore_command %f and %p',
    });
  }
  const name = text as WalFileName;
  const timeline = timelineId(Number.parseInt(timelineDigits, 16));
  if (match[6] !== undefined) return { name, kind: 'history', timeline, segment: undefined, offset: undefined };
  const segment = text.slice(0, 24) as WalFileName;
  if (match[5] !== undefined) {
    return { name, kind: 'backup', timeline, segment, offset: Number.parseInt(match[5], 16) };
  }
  return { name, kind: match[4] === '.partial' ? 'partial' : 'segment', timeline, segment, offset: undefined };
}

/** @throws FORMAT_INVALID unless a power of two from 1 MiB to 1 GiB. */
export function segmentBytes(value: number): SegmentBytes {
  const valid = Number.isInteger(value) && value >= 1 << 20 && value <= 1 << 30 && (value & (value - 1)) === 0;
  if (!valid) throw new WaldenError('FORMAT_INVALID', `${value} bytes is not a WAL segment size`);
  return value as SegmentBytes;
}

/** As SHOW wal_segment_size tells it: `16MB`, `1GB`. @throws FORMAT_INVALID */
export function parseSegmentSize(text: string): SegmentBytes {
  const [, number = '', unit] = /^(\d{1,4})(MB|GB)$/.exec(text) ?? [];
  return segmentBytes(Number(number) * (unit === 'GB' ? 1 << 30 : 1 << 20));
}

/** The number of the segment that holds this position, counted from the beginning of the WAL. */
export function segmentNumber(position: Lsn, size: SegmentBytes): bigint {
  return position / BigInt(size);
}

export function segmentStart(number: bigint, size: SegmentBytes): Lsn {
  return lsn(number * BigInt(size));
}

export function segmentName(timeline: TimelineId, number: bigint, size: SegmentBytes): WalFileName {
  const perLog = 0x1_0000_0000n / BigInt(size);
  const hex = (part: bigint): string => part.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(BigInt(timeline))}${hex(number / perLog)}${hex(number % perLog)}` as WalFileName;
}

/** The number of the segment in this name. @throws FORMAT_INVALID when the name cannot exist at this segment size. */
export function segmentNumberOfName(segment: WalFileName, size: SegmentBytes): bigint {
  const perLog = 0x1_0000_0000n / BigInt(size);
  const inLog = BigInt(`0x${segment.slice(16, 24)}`);
  if (inLog >= perLog) {
    throw new WaldenError('FORMAT_INVALID', `segment ${segment} cannot exist with segments of ${size} bytes`);
  }
  return BigInt(`0x${segment.slice(8, 16)}`) * perLog + inLog;
}

export function historyName(timeline: TimelineId): WalFileName {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history` as WalFileName;
}
