import { describe, expect, it } from 'vitest';
import {
  describeMicros,
  formatMicros,
  micros,
  microsFromDate,
  microsFromPostgres,
  parseMicros,
} from '../../../src/postgres/timestamp.ts';

describe('moments', () => {
  it('count from 2000 in PostgreSQL and from 1970 here', () => {
    expect(formatMicros(microsFromPostgres(0n))).toBe('2000-01-01T00:00:00.000000Z');
    expect(formatMicros(microsFromPostgres(-1n))).toBe('1999-12-31T23:59:59.999999Z');
    expect(microsFromDate(new Date('2026-11-22T02:15:00.123Z'))).toBe(parseMicros('2026-11-22 02:15:00.123+00'));
  });

  it.each([
    ['2026-11-22T02:15:00.123456Z', '2026-11-22T02:15:00.123456Z'],
    ['2026-11-22 02:15:00+05:30', '2026-11-21T20:45:00.000000Z'],
    ['2026-11-22 02:15:00.5-08', '2026-11-22T10:15:00.500000Z'],
    ['2026-11-22 02:15:00.000001 +0100', '2026-11-22T01:15:00.000001Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000000Z'],
  ])('read %s', (text, expected) => {
    expect(formatMicros(parseMicros(text))).toBe(expected);
  });

  it.each([
    ...['2026-11-22 02:15:00', '2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-11-22T25:00:00Z'],
    ...['9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z', '2026-11-22T02:15:00+99'],
    ...['2023-02-29T00:00:00Z', '2026-11-22', 'now', '', '2026-11-22T02:15:00.1234567Z', '2026-11-22T02:15:00 CET'],
  ])('refuse %j', (text) => {
    expect(() => parseMicros(text)).toThrow(/is not a moment/);
  });

  it('take the nearest one that can be written for what no clock shows', () => {
    const [first, last] = ['1684-07-28T00:12:25.259009Z', '2255-06-05T23:47:34.740991Z'];
    expect(formatMicros(microsFromPostgres(0x7fff_ffff_ffff_ffffn))).toBe(last);
    expect(formatMicros(microsFromPostgres(-0x8000_0000_0000_0000n))).toBe(first);
    expect([first, last].map((text) => formatMicros(parseMicros(text)))).toEqual([first, last]);
  });

  it.each([
    ['2026-11-22T02:15:00.123400Z', '2026-11-22 02:15:00.1234 UTC'],
    ['2026-11-22T10:00:00.000000Z', '2026-11-22 10:00:00 UTC'],
    ['1999-12-31T23:59:59.999999Z', '1999-12-31 23:59:59.999999 UTC'],
  ])('are told in words: %s', (text, words) => {
    expect(describeMicros(parseMicros(text))).toBe(words);
  });

  it('keep their microseconds to the end', () => {
    expect(formatMicros(micros(9_007_199_254_739_999))).toBe('2255-06-05T23:47:34.739999Z');
  });

  it('refuse a number that is no exact microsecond', () => {
    expect(() => micros(0.5)).toThrow(/is not a moment/);
    expect(() => micros(2 ** 60)).toThrow(/is not a moment/);
  });
});
