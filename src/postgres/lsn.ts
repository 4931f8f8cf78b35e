import { WaldenError } from '../errors.ts';

/** A position in the WAL, in bytes. Never a `number`: it is an unsigned 64-bit value. */
export type Lsn = bigint & { readonly __lsn: unique symbol };

/** Number of a timeline, 1 or more. */
export type TimelineId = number & { readonly __timeline: unique symbol };

/** A system identifier in decimal: unsigned 64-bit, so never a `number`. */
export type SystemIdentifier = string & { readonly __systemIdentifier: unique symbol };

const MAX_UINT64 = 0xffff_ffff_ffff_ffffn;

export function lsn(value: bigint): Lsn {
  if (value < 0n || value > MAX_UINT64) throw new WaldenError('FORMAT_INVALID', `${value.toString()} is not an LSN`);
  return value as Lsn;
}

/** Parses PostgreSQL's text form, `16/B374D848`. @throws FORMAT_INVALID */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new WaldenError('FORMAT_INVALID', `"${text}" is not an LSN`, { hint: 'an LSN looks like 16/B374D848' });
  }
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** PostgreSQL's text form, `16/B374D848`. */
export function formatLsn(value: Lsn): string {
  const hex = (part: bigint): string => part.toString(16).toUpperCase();
  return `${hex(value >> 32n)}/${hex(value & 0xffff_ffffn)}`;
}

/** @throws FORMAT_INVALID */
export function timelineId(value: number): TimelineId {
  if (!Number.isInteger(value) || value < 1 || value > 0xffff_ffff) {
    throw new WaldenError('FORMAT_INVALID', `${value} is not a timeline`, { hint: 'timelines are numbered from 1' });
  }
  return value as TimelineId;
}

/** @throws FORMAT_INVALID */
export function systemIdentifier(value: string): SystemIdentifier {
  if (!/^[0-9]{1,20}$/.test(value) || BigInt(value) > MAX_UINT64) {
    throw new WaldenError('FORMAT_INVALID', `"${value}" is not a system identifier`);
  }
  return value as SystemIdentifier;
}
