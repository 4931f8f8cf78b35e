import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { formatLsn, lsn, parseLsn, timelineId } from '../../../src/postgres/lsn.ts';
import { formatMicros, micros, parseMicros } from '../../../src/postgres/timestamp.ts';
import {
  historyName,
  parseWalName,
  segmentBytes,
  segmentName,
  segmentNumber,
  segmentNumberOfName,
  segmentStart,
} from '../../../src/postgres/wal-name.ts';

const position = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }).map((value) => lsn(value));
const timeline = fc.integer({ min: 1, max: 0xffff_ffff }).map((value) => timelineId(value));
const size = fc.integer({ min: 20, max: 30 }).map((power) => segmentBytes(2 ** power));

describe('an LSN', () => {
  it('is what its text says', () => {
    fc.assert(
      fc.property(position, (value) => {
        expect(parseLsn(formatLsn(value))).toBe(value);
      }),
    );
  });
});

describe('the name of a segment', () => {
  it('gives timeline and number back, for every segment size', () => {
    fc.assert(
      fc.property(position, timeline, size, (at, tli, bytes) => {
        const number = segmentNumber(at, bytes);
        const parsed = parseWalName(segmentName(tli, number, bytes));
        expect(parsed).toMatchObject({ kind: 'segment', timeline: tli, offset: undefined });
        expect(segmentNumberOfName(parsed.segment!, bytes)).toBe(number);
        const start = segmentStart(number, bytes);
        expect(start <= at && at < start + BigInt(bytes)).toBe(true);
      }),
    );
  });

  it('sorts as its position does', () => {
    fc.assert(
      fc.property(position, position, timeline, size, (a, b, tli, bytes) => {
        const [x, y] = [segmentNumber(a, bytes), segmentNumber(b, bytes)];
        expect(segmentName(tli, x, bytes) < segmentName(tli, y, bytes)).toBe(x < y);
      }),
    );
  });

  it('is parsed or refused, whatever the text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9A-Fa-f]{24}(\.partial|\.[0-9A-F]{8}\.backup|\.history)?$/),
      fc.stringMatching(/^[0-9A-F]{8}\.history$/),
    );
    fc.assert(
      fc.property(text, (name) => {
        try {
          expect(parseWalName(name).name).toBe(name);
        } catch (error) {
          if (!isWaldenError(error, 'FORMAT_INVALID')) throw error;
        }
      }),
    );
  });
});

describe('the name of a history file', () => {
  it('gives the timeline back', () => {
    fc.assert(
      fc.property(timeline, (tli) => {
        expect(parseWalName(historyName(tli))).toMatchObject({ kind: 'history', timeline: tli, segment: undefined });
      }),
    );
  });
});

describe('a moment', () => {
  it('is what its text says, to the microsecond', () => {
    const value = fc
      .integer({ min: -62_000_000_000_000_000 / 8, max: 9_000_000_000_000_000 })
      .map((one) => micros(one));
    fc.assert(
      fc.property(value, (moment) => {
        const text = formatMicros(moment);
        expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
        expect(parseMicros(text)).toBe(moment);
      }),
    );
  });
});
