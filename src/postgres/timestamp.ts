import { WaldenError } from '../errors.ts';

/**
 * A moment in microseconds since 1970-01-01 UTC: PostgreSQL's own resolution, which `Date` does not have. A safe integer,
 * so between the years 1684 and 2255.
 */
export type Micros = number & { readonly __micros: unique symbol };

/** PostgreSQL counts from 2000-01-01 UTC (datatype/timestamp.h). */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;

/**
 * A clock that was wrong, or a record that is not what it seems, may say any moment; it must not keep a segment out of the
 * archive. The nearest one that can be written stays on the same side of every target.
 */
export function microsFromPostgres(value: bigint): Micros {
  const moment = Number(value) + POSTGRES_EPOCH_MICROS;
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, moment)) as Micros;
}

/** The inverse, as the replication protocol wants it. */
export function postgresFromMicros(value: Micros): bigint {
  return BigInt(value) - BigInt(POSTGRES_EPOCH_MICROS);
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
  const rest = ((value % 1000) + 1000) % 1000;
  // Dividing first would round: from the year 2248 on a double has no room for thousandths of milliseconds.
  const millis = (value - rest) / 1000;
  return `${new Date(millis).toISOString().slice(0, -1)}${rest.toString().padStart(3, '0')}Z`;
}

/** `2026-11-22 02:15:00.1234 UTC`, exact too, for messages: a person reads it, and `--time` takes it. */
export function describeMicros(value: Micros): string {
  const [date, time] = formatMicros(value).slice(0, -1).split('T');
  return `${date} ${time?.replace(/\.?0+$/, '')} UTC`;
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
  const moment = millis * 1000 + Number(fraction.padEnd(6, '0'));
  if (!isDay || !Number.isSafeInteger(moment)) {
    throw new WaldenError('FORMAT_INVALID', `"${text}" is not a moment of the years 1684 to 2255`);
  }
  return moment as Micros;
}
