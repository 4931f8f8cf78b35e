import { describe, expect, it } from 'vitest';
import type { EventRecord } from '../../../catalog/catalog.ts';
import { clusterName } from '../../../src/repository/names.ts';
import { micros } from '../../../src/postgres/timestamp.ts';
import type { NewEvent } from '../../../src/service/events/event-log.ts';
import { type Condition, diffConditions, openConditions } from '../../../src/service/watch/conditions.ts';

const MAIN = clusterName('main');

function condition(kind: Condition['kind'], subject: string): Condition {
  return { kind, level: 'error', cluster: MAIN, subject, message: `${kind} ${subject}` };
}

function recorded(events: readonly NewEvent[]): readonly EventRecord[] {
  return events.map((event, index) => ({
    ...{ cluster: undefined, subject: undefined, facts: {} },
    ...event,
    ...{ id: index + 1, at: micros(index) },
  }));
}

const kindsOf = (events: readonly NewEvent[]): readonly string[] =>
  events.map(({ kind, subject }) => `${kind} ${subject!}`);

describe('telling troubles', () => {
  const gap = condition('wal-gap', 'a');
  const down = condition('receiver-down', 'slot');
  const refused = condition('wal-refused', 'file');

  it('tells each when it begins and when it ends, and nothing in between', () => {
    const first = diffConditions(new Map(), [gap, down]);
    expect(kindsOf(first.events)).toEqual(['wal-gap a', 'receiver-down slot']);
    const second = diffConditions(first.open, [gap, down]);
    expect(second.events).toEqual([]);
    const third = diffConditions(second.open, [gap]);
    expect(third.events).toMatchObject([{ kind: 'receiver-up', level: 'info', cluster: MAIN, subject: 'slot' }]);
    expect(kindsOf(diffConditions(third.open, [down]).events)).toEqual(['receiver-down slot', 'wal-gap-closed a']);
  });

  it('tells what only happens once, for ever', () => {
    const { open } = diffConditions(new Map(), [refused]);
    const gone = diffConditions(open, []);
    expect(gone.events).toEqual([]);
    expect(diffConditions(gone.open, [refused]).events).toEqual([]);
  });

  it('goes on across a restart where the log ends', () => {
    const before = diffConditions(new Map(), [gap, down, refused]);
    const after = diffConditions(before.open, [gap, refused]);
    const open = openConditions(recorded([...before.events, ...after.events]));
    expect(diffConditions(open, [gap, refused]).events).toEqual([]);
    expect(kindsOf(diffConditions(open, [down]).events)).toEqual(['receiver-down slot', 'wal-gap-closed a']);
  });

  it('says nothing of kinds of which nothing is known', () => {
    const { open } = diffConditions(new Map(), [gap]);
    expect(diffConditions(open, [], ['wal-gap']).events).toEqual([]);
    expect(diffConditions(new Map(), [gap, down], ['wal-gap']).events).toEqual([down]);
  });
});
