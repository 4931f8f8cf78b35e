import { describe, expect, it } from 'vitest';
import { renderNodes } from '../../../src/cli/render/nodes.ts';
import type { NodeDocument } from '../../../src/service/api-nodes.ts';

const NOW = new Date('2026-11-22T12:00:00Z');

function node(facts: Partial<NodeDocument>): NodeDocument {
  return {
    ...{ name: 'db1', origin: 'configured', registeredAt: '2026-11-22T02:00:00.000000Z', host: 'db1' },
    ...{ dataDirectory: null, conninfo: 'host=db1', role: 'primary', state: 'running', failure: null, sameAs: null },
    ...{ majorVersion: 17, timeline: 1, lsn: '0/5000000', upstream: null, lagBytes: null, lagSeconds: null },
    ...{ delaySeconds: null, slot: null, slotRetainedBytes: null, slotStatus: null, notes: [], seen: null },
    fetches: { streamingFrom: null, restoreCommand: null },
    ...facts,
  };
}

const STANDBY = node({
  ...{ name: 'db2', origin: 'clone', role: 'standby', state: 'streaming', upstream: 'db1:5432', delaySeconds: 14_400 },
  ...{ lagBytes: 16_777_216, lagSeconds: 185, slot: 'second', slotRetainedBytes: 33_554_432, slotStatus: 'extended' },
  fetches: { streamingFrom: 'db1:5432', restoreCommand: { kind: 'service', name: null } },
});

function render(nodes: NodeDocument[], warnings: string[] = [], columns = Number.POSITIVE_INFINITY): string {
  const alarm = (text: string): string => `<${text}>`;
  return renderNodes({ clusters: [{ cluster: 'main', nodes, warnings }] }, { now: NOW, columns, alarm });
}

describe('renderNodes', () => {
  it('makes a table of what each is and does, and leaves out what nobody has', () => {
    expect(render([node({}), STANDBY])).toBe(
      [
        'NODE  ROLE     STATE      TIMELINE                LAG  UPSTREAM  FETCHES WAL BY                SLOT                             DELAY  LSN        KNOWN BY',
        'db1   primary  running           1                                                                                                     0/5000000  configuration',
        'db2   standby  streaming         1  16 MiB, 3 min 5 s  db1:5432  streaming, else walden-fetch  second (keeps 32 MiB, extended)    4 h  0/5000000  walden clone',
      ].join('\n'),
    );
  });

  it('says of a node that does not answer why, and when it was seen', () => {
    const error = { code: 'SERVER_UNREACHABLE', message: 'unable to connect', hint: 'h', details: {} };
    const seen = { at: '2026-11-22T11:57:00.000000Z', role: 'primary', timeline: 1, lsn: null } as const;
    const away = node({ role: 'unknown', state: 'unreachable', timeline: null, lsn: null, failure: error, seen });
    const text = render([away, node({ name: 'db3', role: 'not running', state: 'in production' })]);
    expect(text).toMatch(/^db1 +unknown +unreachable .*3 min ago as primary$/m);
    expect(text).toMatch(/^db3 +not running +was in production .*never$/m);
    expect(text).toMatch(/^db1: unable to connect \(SERVER_UNREACHABLE\)$/m);
  });

  it.each([
    [{ kind: 'none', name: null }, 'streaming'],
    [{ kind: 'service', name: '/srv/script.conf' }, 'streaming, else walden-fetch (/srv/script.conf)'],
    [{ kind: 'repository', name: 'offsite' }, 'streaming, else walden wal fetch (offsite)'],
    [{ kind: 'other', name: 'cp' }, 'streaming, else restore_command (cp …)'],
  ] as const)('says where WAL comes from: %j', (restoreCommand, words) => {
    expect(render([{ ...STANDBY, fetches: { ...STANDBY.fetches, restoreCommand } }])).toContain(`  ${words}  `);
    const alone = { ...STANDBY, fetches: { streamingFrom: null, restoreCommand } };
    const expected = restoreCommand.kind === 'none' ? 'nothing' : words.replace('streaming, else ', '');
    expect(render([alone])).toContain(`db1:5432  ${expected}  `);
  });

  it('has a warning stand out, below everything', () => {
    const lines = render([node({ notes: ['role seer is not shown it'] })], ['2 servers take writes'], 80).split('\n');
    expect(lines.slice(-2)).toEqual(['db1: role seer is not shown it', '<WARNING: 2 servers take writes>']);
    expect(lines.slice(0, -2).every((line) => line.length <= 80)).toBe(true);
  });

  it('says what to do where none is known', () => {
    expect(render([])).toBe('no node of cluster main is known: walden node add main');
  });
});
