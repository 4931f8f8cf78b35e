import { WaldenError } from '../errors.ts';

/**
 * A moment in microseconds since 1970-01-01 UTC: PostgreSQL's own resolution, which `Date` does not have. Exact in a
 * `number` until the year 2255.
 */
export type Micros = number & { readonly __micros: unique symbol };

/** PostgreSQL counts from 2000-01-01 UTC (datatype/timestamp.h). */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;

export function microsFromPostgres(value: bigint): Micros {
  return (Number(value) + POSTGRES_EPOCH_MICROS) as Micros;
}

export function microsFromDate(value: Date): Micros {
  return (value.getTime() * 1000) as Micros;
}

export function micros(value: number): Micros {
  if (!Number.isSafeInteger(value)) throw new WaldenError('FORMAT_INVALID', `${value} is not a moment in microseconds`);
  return value as Micros;
}

/** `2026-11-22T02:15:00.123456Z`, always six digits. */
export function formatMicros(value: Micros): string {
  const millis = Math.floor(value / 1000);
  const rest = (value - millis * 1000).toString().padStart(3, '0');
  return `${new Date(millis).toISOString().slice(0, -1)}${rest}Z`;
}

/** Parses what `formatMicros` and PostgreSQL write, the zone required. @throws FORMAT_INVALID */
export function parseMicros(text: string): Micros {
  const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\s*(Z|[+-]\d\d(?::?\d\d)?)$/.exec(text);
  const [, date, time, fraction = '', zone] = match ?? [];
  if (date === undefined || time === undefined || zone === undefined) {
    throw new WaldenError('FORMAT_INVALID', `"${text}" is not a moment with a time zone`);
  }
  const offset = zone === 'Z' ? 'Z' : `${zone.slice(0, 3)}:${zone.replace(':', '').slice(3).padEnd(2, '0')}`;
  const millis = Date.parse(`${date}T${time}${offset}`);
  // Date.parse takes February 30 for March 2.
  const isDay = !Number.isNaN(millis) && new Date(`${date}T00:00:00Z`).toISOString().startsWith(date);
  if (!isDay) throw new WaldenError('FORMAT_INVALID', `"${text}" is not a moment`);
  return (millis * 1000 + Number(fraction.padEnd(6, '0'))) as Micros;
}
