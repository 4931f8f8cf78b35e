import { InvalidArgumentError } from 'commander';

/** `5%`: the share, above 0 up to 1. */
export function percentage(text: string): number {
  const share = /^\d{1,3}(?:\.\d{1,6})?%$/.test(text) ? Number(text.slice(0, -1)) / 100 : Number.NaN;
  if (share > 0 && share <= 1) return share;
  throw new InvalidArgumentError('It must be above 0% and up to 100%, like 5%.');
}

const BYTES: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };

/** `50GB`: bytes, with the units of the configuration. */
export function byteSize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,6})\s*(MB|GB|TB)$/.exec(text) ?? [];
  const bytes = Number(digits) * (BYTES[unit] ?? Number.NaN);
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError('It must be a size like 500MB, 50GB or 2TB.');
}

/** A parser for an option's value. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
  };
}
