import { isWaldenError, WaldenError } from '../errors.ts';
import { describeMicros, formatMicros, type Micros, micros, parseMicros } from '../postgres/timestamp.ts';

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;

const UNITS: ReadonlyMap<string, number> = new Map([
  ...unit(1, 's', 'sec', 'secs', 'second', 'seconds'),
  ...unit(60, 'm', 'min', 'mins', 'minute', 'minutes'),
  ...unit(3600, 'h', 'hour', 'hours'),
  ...unit(86_400, 'd', 'day', 'days'),
  ...unit(7 * 86_400, 'w', 'week', 'weeks'),
]);

const HINT =
  "for example: --time '2026-11-22 14:30:00+01', '2026-11-22 14:30 UTC', '10 minutes ago', 'yesterday 14:30'";

export interface TargetTime {
  readonly time: Micros;
  /** What was assumed. */
  readonly notes: readonly string[];
}

/**
 * A moment as an operator writes it: a date and a time with a zone (or without: UTC, and a note says so), an amount of
 * time `ago`, or `today`/`yesterday` with an optional time of day (without one: its beginning, as in PostgreSQL).
 *
 * @throws USAGE with examples.
 */
export function parseTargetTime(text: string, now: Micros): TargetTime {
  const value = text.trim();
  return relative(value, now) ?? dayWord(value, now) ?? absolute(value) ?? refuse(value);
}

function relative(value: string, now: Micros): TargetTime | undefined {
  const match = /^((?:\d+(?:\.\d+)?\s*[a-z]+\s*)+)\s+ago$/i.exec(value);
  if (match?.[1] === undefined) return undefined;
  let total = 0;
  for (const [, amount, name] of match[1].matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/gi)) {
    const length = UNITS.get(name?.toLowerCase() ?? '');
    if (amount === undefined || length === undefined) return undefined;
    total += Math.round(Number(amount) * length * SECOND);
  }
  if (total > now) return undefined;
  const time = micros(now - total);
  return { time, notes: [`"${value}" is taken as ${describeMicros(time)}`] };
}

function dayWord(value: string, now: Micros): TargetTime | undefined {
  const match = /^(today|yesterday)(?:\s+(.+))?$/i.exec(value);
  if (match?.[1] === undefined) return undefined;
  const day = now - (match[1].toLowerCase() === 'yesterday' ? DAY : 0);
  const date = formatMicros(micros(day)).slice(0, 10);
  const result = absolute(`${date} ${match[2] ?? '00:00'}`);
  return result && { time: result.time, notes: [`"${value}" is taken as ${describeMicros(result.time)}`] };
}

function absolute(value: string): TargetTime | undefined {
  const match =
    /^(\d{4}-\d\d-\d\d)(?:[T ]+(\d{1,2}:\d\d)(:\d\d(?:\.\d{1,6})?)?)?\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/i.exec(value);
  const [, date, minute = '00:00', second = ':00', zone] = match ?? [];
  if (date === undefined) return undefined;
  const offset = zone === undefined || /^[a-z]+$/i.test(zone) ? 'Z' : zone;
  const clock = `${minute.padStart(5, '0')}${second}`;
  const time = moment(date, clock, offset);
  if (time === undefined) return undefined;
  if (zone !== undefined) return { time, notes: [] };
  return { time, notes: [`no time zone was given: UTC is meant, ${describeMicros(time)}`] };
}

function moment(date: string, clock: string, offset: string): Micros | undefined {
  try {
    return parseMicros(`${date} ${clock}${offset}`);
  } catch (error) {
    // The caller refuses it with an example.
    if (isWaldenError(error, 'FORMAT_INVALID')) return undefined;
    throw error;
  }
}

function refuse(value: string): never {
  if (/^now$/i.test(value)) {
    throw new WaldenError('USAGE', '"now" is not a moment of the past', {
      hint: 'use --latest for all that is archived',
    });
  }
  throw new WaldenError('USAGE', `${JSON.stringify(value)} is not a moment`, { hint: HINT });
}

function unit(seconds: number, ...names: readonly string[]): readonly (readonly [string, number])[] {
  return names.map((name) => [name, seconds] as const);
}
