import { isAbsolute, resolve } from 'node:path';
import type { ObjectLock, Option } from './option.ts';
import type { TomlValue } from './toml-file.ts';

export type CheckedValue = string | number | boolean | readonly string[] | ObjectLock;

/** What is wrong with a value, in words. */
export interface Refusal {
  readonly refused: string;
}

/** One value against its line of the option table. Pure: whether a path exists is another question. */
export function checkOption(option: Option, value: TomlValue): CheckedValue | Refusal {
  switch (option.type) {
    case 'path':
      return checkPath(value, option.maxBytes);
    case 'text':
      return checkText(value);
    case 'choice': {
      const text = checkText(value);
      if (typeof text !== 'string' || option.choices.includes(text)) return text;
      return { refused: `${JSON.stringify(text)} is not one of ${quotedList(option.choices)}` };
    }
    case 'integer':
      return checkInteger(value, option);
    case 'names':
      return checkNames(value);
    case 'choices': {
      const names = checkNames(value);
      if ('refused' in names) return names;
      const odd = names.find((name) => !option.choices.includes(name));
      if (odd === undefined) return names;
      return { refused: `${JSON.stringify(odd)} is not one of ${quotedList(option.choices)}` };
    }
    case 'command':
      return checkCommand(value);
    case 'switch':
      return value.type === 'switch' ? value.on : { refused: `must be true or false, not ${describe(value)}` };
    case 'lock':
      return checkLock(value);
    case 'duration':
      return checkDuration(value, option);
  }
}

const SECONDS: Readonly<Record<string, number>> = {
  ...{ s: 1, second: 1, min: 60, minute: 60, h: 3600, hour: 3600 },
  ...{ d: 86_400, day: 86_400, week: 7 * 86_400 },
};

/** How such a duration is written: `like "5s": …`. */
export function durationForm({ minimumSeconds, maximumSeconds }: DurationBounds): string {
  const like = minimumSeconds >= 3600 ? '14 days' : maximumSeconds > 3600 ? '6 hours' : '5s';
  const bounds = `${spelled(minimumSeconds)} to ${spelled(maximumSeconds)}`;
  return `like "${like}": a number and s, min, h, days or weeks, ${bounds} in all`;
}

interface DurationBounds {
  readonly minimumSeconds: number;
  readonly maximumSeconds: number;
}

function spelled(seconds: number): string {
  for (const [unit, length] of [
    ['days', 86_400],
    ['h', 3600],
    ['min', 60],
  ] as const) {
    if (seconds % length === 0) return `${seconds / length} ${unit}`;
  }
  return `${seconds} s`;
}

/** In seconds. */
function checkDuration(value: TomlValue, option: DurationBounds): number | Refusal {
  const text = checkText(value);
  if (typeof text !== 'string') return text;
  const [, amount, short, long = ''] = /^(\d{1,7}) ?(?:(s|min|h|d)|(second|minute|hour|day|week)s?)$/.exec(text) ?? [];
  const seconds = Number(amount) * (SECONDS[short ?? long] ?? Number.NaN);
  if (seconds >= option.minimumSeconds && seconds <= option.maximumSeconds) return seconds;
  return { refused: `must be ${durationForm(option)}; not ${JSON.stringify(text)}` };
}

const DAYS: Readonly<Record<string, number>> = { day: 1, week: 7, year: 365 };
/** The most that AWS takes: a hundred years. */
const MAX_LOCK_DAYS = 36_500;

function checkLock(value: TomlValue): ObjectLock | Refusal {
  const text = checkText(value);
  if (typeof text !== 'string') return text;
  const [, mode, amount, unit = ''] = /^(compliance|governance) +([1-9]\d{0,4}) +(day|week|year)s?$/.exec(text) ?? [];
  const days = Number(amount) * (DAYS[unit] ?? Number.NaN);
  if ((mode === 'compliance' || mode === 'governance') && days <= MAX_LOCK_DAYS) return { mode, days };
  const form = 'must be like "compliance 14 days": compliance or governance, a number, days, weeks or years';
  return { refused: `${form}, a hundred years at most; not ${JSON.stringify(text)}` };
}

function checkText(value: TomlValue): string | Refusal {
  if (value.type !== 'text') return { refused: `must be text in quotes, not ${describe(value)}` };
  if (value.text.trim() === '') return { refused: 'must not be empty' };
  if (/[\0\n\r]/.test(value.text)) return { refused: 'must be one line' };
  return value.text;
}

function checkPath(value: TomlValue, maxBytes: number | undefined): string | Refusal {
  const text = checkText(value);
  if (typeof text !== 'string') return text;
  if (!isAbsolute(text)) return { refused: `must be an absolute path, not ${JSON.stringify(text)}` };
  if (maxBytes !== undefined && Buffer.byteLength(text) > maxBytes) {
    return { refused: `must not be longer than ${maxBytes} bytes, and has ${Buffer.byteLength(text)}` };
  }
  return resolve(text);
}

function checkInteger(value: TomlValue, { minimum, maximum }: { minimum: number; maximum: number }): number | Refusal {
  if (value.type !== 'integer') return { refused: `must be a whole number, not ${describe(value)}` };
  if (value.integer < minimum || value.integer > maximum) {
    return { refused: `must be between ${minimum} and ${maximum}, not ${value.integer.toString()}` };
  }
  return Number(value.integer);
}

function checkNames(value: TomlValue): readonly string[] | Refusal {
  if (value.type !== 'list') return { refused: `must be a list like ["local"], not ${describe(value)}` };
  const names: string[] = [];
  for (const item of value.items) {
    const name = checkText(item);
    if (typeof name !== 'string') return { refused: `each element ${name.refused}` };
    if (names.includes(name)) return { refused: `names ${JSON.stringify(name)} twice` };
    names.push(name);
  }
  return names.length === 0 ? { refused: 'must name at least one' } : names;
}

/** No shell reads it: each word reaches the program as it is. */
function checkCommand(value: TomlValue): readonly string[] | Refusal {
  const form = 'must be a list like ["/usr/local/bin/notify", "--all"]';
  if (value.type !== 'list') return { refused: `${form}, not ${describe(value)}` };
  const words: string[] = [];
  for (const item of value.items) {
    if (item.type !== 'text' || item.text.includes('\0')) return { refused: `${form}: each element text in quotes` };
    words.push(item.text);
  }
  const [program = ''] = words;
  return isAbsolute(program) ? words : { refused: `${form}: an absolute path first` };
}

function describe(value: TomlValue): string {
  switch (value.type) {
    case 'text':
      return 'text';
    case 'integer':
      return `the number ${value.integer.toString()}`;
    case 'switch':
      return 'true or false';
    case 'list':
      return 'a list';
    case 'other':
      return value.what;
  }
}

function quotedList(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(', ');
}
