import { describe, expect, it } from 'vitest';
import { failed, ok, warning } from '../../../src/cli/check/facts.ts';
import { checkClock } from '../../../src/cli/check/clock.ts';
import { checkRoom } from '../../../src/cli/check/room.ts';
import type { CheckFacts } from '../../../src/cli/check/facts.ts';
import { checkDocument, renderCheck, renderNagios } from '../../../src/cli/render/check.ts';
import { WaldenError } from '../../../src/errors.ts';
import type { ServerFacts } from '../../../src/cli/check/facts.ts';

const LINES = [
  ok('clock', 'they agree', { label: 'clock', value: 0.01, unit: 's' }),
  warning('room', 'little | room\nleft', 'make room'),
  failed('slot', 'it is gone', 'make it', { label: 'slot_retained', value: 5, unit: 'B', warning: 10 }),
];
const GIB = 1024 ** 3;
const AWAY = { error: new WaldenError('SERVICE_UNREACHABLE', 'nobody listens') };

describe('telling what was checked', () => {
  it('puts the worst first into the one line of a plugin, and the data behind the only bar', () => {
    expect(renderNagios('main', LINES)).toBe(
      'WALDEN CRITICAL - main: slot: it is gone; room: little / room left | clock=0.01s slot_retained=5B;10',
    );
    expect(renderNagios('main', LINES.slice(0, 1))).toBe('WALDEN OK - main: 1 check ok | clock=0.01s');
  });

  it('has each fix below its line', () => {
    expect(renderCheck('main', LINES.slice(1))).toContain('FAILED   slot  it is gone\n                 HINT: make it');
  });

  it('counts by outcome', () => {
    expect(checkDocument('main', LINES)).toMatchObject({ outcome: 'failed', failed: 1, warnings: 1 });
  });
});

describe('judging room', () => {
  const judged = (freeBytes: number, totalBytes: number): readonly string[] => {
    const rooms = ['the spool', 'repository local'].map((what) => ({ what, path: '/srv', freeBytes, totalBytes }));
    const facts: Pick<CheckFacts, 'rooms' | 'service'> = { rooms, service: AWAY };
    return checkRoom(facts as CheckFacts).map(({ outcome }) => outcome);
  };

  it('says one thing of one disk, and minds shares only where the bytes are few', () => {
    expect(judged(100 * GIB, 10_000 * GIB)).toEqual(['ok']);
    expect(judged(5 * GIB, 100 * GIB)).toEqual(['warning']);
    expect(judged(GIB, 100 * GIB)).toEqual(['failed']);
    expect(judged(GIB, 2 * GIB)).toEqual(['ok']);
  });
});

describe('judging clocks', () => {
  const judged = (clockAheadMs: number, clockDoubtMs: number): readonly string[] => {
    const view: Pick<ServerFacts, 'clockAheadMs' | 'clockDoubtMs'> = { clockAheadMs, clockDoubtMs };
    return checkClock({ server: { value: view } } as CheckFacts).map(({ outcome }) => outcome);
  };

  it('does not take a slow answer for a clock that is wrong', () => {
    expect(judged(3000, 4000)).toEqual(['ok']);
    expect(judged(-3000, 10)).toEqual(['warning']);
  });
});
