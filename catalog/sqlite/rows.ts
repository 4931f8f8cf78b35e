import type { ErrorDocument } from '../../src/errors.ts';
import { type Lsn, lsn } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';

/** Every integer arrives as a bigint, because segment numbers must. */
export type Integer = bigint;

/** 16 upper-case hex digits: sorts as text like the unsigned number. */
export function lsnText(value: Lsn): string {
  return value.toString(16).toUpperCase().padStart(16, '0');
}

export function lsnOf(text: string): Lsn {
  return lsn(BigInt(`0x${text}`));
}

export function microsOf(value: Integer): Micros {
  return Number(value) as Micros;
}

export function optionalMicros(value: Integer | null): Micros | undefined {
  return value === null ? undefined : microsOf(value);
}

export function optionalNumber(value: Integer | null): number | undefined {
  return value === null ? undefined : Number(value);
}

export function jsonText(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

export function errorOf(text: string): ErrorDocument {
  return JSON.parse(text) as ErrorDocument;
}
