import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import { formatMicros, parseMicros } from '../../../src/postgres/timestamp.ts';
import { describeTarget, parseTarget } from '../../../src/restore/target.ts';
import type { TargetRequest } from '../../../src/service/api.ts';

const NOW = parseMicros('2026-11-22T12:00:00.000000Z');

function timeOf(value: string): string {
  const { target } = parseTarget({ kind: 'time', value }, NOW);
  return target.kind === 'time' ? formatMicros(target.time) : target.kind;
}

function refusal(request: TargetRequest): WaldenError {
  try {
    parseTarget(request, NOW);
  } catch (error) {
    if (error instanceof WaldenError) return error;
  }
  throw new Error(`accepted: ${JSON.stringify(request)}`);
}

describe('parseTarget', () => {
  it.each([
    ['2026-11-22 11:30:00+01', '2026-11-22T10:30:00.000000Z'],
    ['2026-11-22 11:30:00.25 +01:30', '2026-11-22T10:00:00.250000Z'],
    ['2026-11-22T11:30:00-0330', '2026-11-22T15:00:00.000000Z'],
    ['2026-11-22 11:30Z', '2026-11-22T11:30:00.000000Z'],
    ['2026-11-22 9:05 UTC', '2026-11-22T09:05:00.000000Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000000Z'],
    ['2026-11-22 +01', '2026-11-21T23:00:00.000000Z'],
    ['10 minutes ago', '2026-11-22T11:50:00.000000Z'],
    ['1 hour 30 minutes ago', '2026-11-22T10:30:00.000000Z'],
    ['90s ago', '2026-11-22T11:58:30.000000Z'],
    ['1.5 hours ago', '2026-11-22T10:30:00.000000Z'],
    ['2 days ago', '2026-11-20T12:00:00.000000Z'],
    ['yesterday', '2026-11-21T00:00:00.000000Z'],
    ['Yesterday 14:30 +01', '2026-11-21T13:30:00.000000Z'],
    ['today 09:15', '2026-11-22T09:15:00.000000Z'],
  ])('takes the time %s as %s', (value, expected) => {
    expect(timeOf(value)).toBe(expected);
  });

  it('says that UTC is meant when no zone was given, and nothing when one was', () => {
    expect(parseTarget({ kind: 'time', value: '2026-11-22 11:30' }, NOW).notes).toEqual([
      'no time zone was given: UTC is meant, 2026-11-22 11:30:00 UTC',
    ]);
    expect(parseTarget({ kind: 'time', value: '2026-11-22 11:30+00' }, NOW).notes).toEqual([]);
  });

  it.each(['2026-02-30 10:00', '2026-11-22 25:00', 'tomorrow', 'ten minutes ago', '10 parsecs ago', '', 'now', '1'])(
    'refuses the time %j with an example',
    (value) => {
      const error = refusal({ kind: 'time', value });
      expect(error.code).toBe('USAGE');
      expect(error.hint).toMatch(/--time|--latest/);
    },
  );

  it('understands the other kinds of target', () => {
    expect(parseTarget({ kind: 'lsn', value: '16/B374D848', exclusive: true }, NOW).target).toEqual({
      kind: 'lsn',
      lsn: 0x16_b374d848n,
      inclusive: false,
    });
    expect(parseTarget({ kind: 'name', value: 'before drop' }, NOW).target).toEqual({
      kind: 'name',
      name: 'before drop',
    });
    expect(parseTarget({ kind: 'latest', backup: 'latest', timeline: 3 }, NOW)).toEqual({
      target: { kind: 'latest' },
      timeline: 3,
      backup: undefined,
      notes: [],
    });
  });

  it('takes a transaction with its epoch, as pg_current_xact_id gives it', () => {
    expect(parseTarget({ kind: 'xid', value: '4294968040' }, NOW).target).toMatchObject({ xid: 744 });
  });

  it.each<TargetRequest>([
    { kind: 'lsn', value: '16-B3' },
    { kind: 'lsn' },
    { kind: 'xid', value: '-5' },
    { kind: 'xid', value: '2' },
    { kind: 'xid', value: '99999999999999999999' },
    { kind: 'name', value: 'x'.repeat(64) },
    { kind: 'name', value: "line\nrestore_command = 'rm'" },
    { kind: 'latest', value: 'now' },
    { kind: 'immediate', exclusive: true },
    { kind: 'name', value: 'x', exclusive: true },
    { kind: 'latest', backup: '../../x' },
    { kind: 'latest', timeline: 0 },
  ])('refuses $kind $value as a mistake in its use', (request) => {
    expect(refusal(request).code).toBe('USAGE');
  });

  it('tells what it understood in words', () => {
    const { target } = parseTarget({ kind: 'time', value: '2026-11-22 11:30+01', exclusive: true }, NOW);
    expect(describeTarget(target)).toBe('just before 2026-11-22 10:30:00 UTC');
  });
});
