import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { NodeRecord } from '../../../../catalog/nodes.ts';
import type { ClusterConfig } from '../../../../src/config/config.ts';
import { mergeNodes } from '../../../../src/service/nodes/known-nodes.ts';
import { assertNodeName, nodeName } from '../../../../src/service/nodes/node-name.ts';
import { MAIN, micros, nodeRow } from '../../../support/catalog-rows.ts';

const NOW = micros(9);
const HERE = hostname();

/** Only what is asked about nodes. */
function config(facts: Partial<ClusterConfig> = {}): ClusterConfig {
  const backup = { source: 'stream', conninfo: 'host=db1 user=walden password=sesame' };
  return {
    name: MAIN,
    dataDirectory: undefined,
    conninfo: undefined,
    receive: undefined,
    backup,
    ...facts,
  } as ClusterConfig;
}

function merged(
  configured: Partial<ClusterConfig>,
  stored: readonly NodeRecord[] = [],
  follows?: string,
): readonly (readonly [string, string | undefined])[] {
  const { nodes } = mergeNodes(config(configured), follows, stored, NOW);
  return nodes.map(({ record, conninfo }) => [record.name, conninfo]);
}

describe('mergeNodes', () => {
  it('makes a node of each server that the configuration names, without its password', () => {
    const conninfo = 'host=db1 port=5433 user=walden password=sesame';
    const backup = { source: 'stream', conninfo: 'host=db1,db2 port=5433 user=r' } as ClusterConfig['backup'];
    const { nodes, changed, gone } = mergeNodes(config({ conninfo, backup }), 'host=db3', [], NOW);
    expect(nodes.map(({ record, ...node }) => [record.name, record.host, record.conninfo, node.conninfo])).toEqual([
      ['db1-5433', 'db1', 'host=db1 port=5433 user=walden', conninfo],
      ['db2-5433', 'db2', 'host=db2 port=5433 user=r', 'host=db2 port=5433 user=r'],
      ['db3', 'db3', 'host=db3', 'host=db3'],
    ]);
    expect(nodes.every(({ record }) => record.origin === 'configured' && record.registeredAt === NOW)).toBe(true);
    expect([...changed].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(nodes.map(({ record }) => record));
    expect(gone).toEqual([]);
  });

  it('takes the data directory for that of the server on this host, or for a node of its own', () => {
    const backup = { source: 'stream', conninfo: 'host=/tmp' } as ClusterConfig['backup'];
    const here = mergeNodes(config({ conninfo: 'host=localhost', dataDirectory: '/srv', backup }), undefined, [], NOW);
    expect(here.nodes.map(({ record }) => [record.host, record.dataDirectory, record.conninfo])).toEqual([
      [HERE, '/srv', 'host=localhost'],
    ]);
    const apart = mergeNodes(config({ dataDirectory: '/srv' }), undefined, [], NOW);
    expect(apart.nodes.map(({ record }) => [record.host, record.dataDirectory]).sort()).toEqual(
      [
        ['db1', undefined],
        [HERE, '/srv'],
      ].sort(),
    );
  });

  it('knows a server again, under the name that it has, and asks it as the configuration does', () => {
    const seen = { at: NOW, role: 'primary', timeline: undefined, lsn: undefined } as const;
    const other = { dataDirectory: undefined, conninfo: 'host=db1 user=other', host: 'db1' };
    const stored = nodeRow('first', { ...other, origin: 'operator', seen });
    const { nodes, changed } = mergeNodes(config(), undefined, [stored], NOW);
    expect(nodes).toEqual([
      { record: stored, conninfo: config().backup.source === 'stream' ? 'host=db1 user=walden password=sesame' : '' },
    ]);
    expect(changed).toEqual([]);
    const own = nodeRow('db1', { ...other, origin: 'configured', seen });
    expect(mergeNodes(config(), undefined, [own], NOW).changed).toEqual([
      { ...own, slot: own.slot, conninfo: 'host=db1 user=walden' },
    ]);
  });

  it('gives up what the configuration named once, and keeps what others have named', () => {
    const stored = [
      nodeRow('db8', { host: 'db8', origin: 'configured' }),
      nodeRow('db9', { host: 'db9', origin: 'clone' }),
      nodeRow('db1', { host: 'elsewhere', origin: 'operator' }),
    ];
    const { nodes, gone } = mergeNodes(config(), undefined, stored, NOW);
    expect(gone).toEqual(['db8']);
    expect(nodes.map(({ record }) => record.name)).toEqual(['db1', 'db1-2', 'db9']);
    expect(merged({}, stored, 'host=db9 port=5433').map(([name]) => name)).toEqual(['db1', 'db1-2', 'db9']);
  });
});

describe('nodeName', () => {
  it('is the host and a port that is not the usual one, or a directory, in letters that a name may have, and free', () => {
    expect(nodeName('DB1.example.org', { port: 5432 }, new Set())).toBe('db1.example.org');
    expect(nodeName('2001:db8::1', { port: 5433 }, new Set())).toBe('2001-db8-1-5433');
    expect(nodeName('--', { port: 5432 }, new Set())).toBe('node');
    expect(nodeName('db1', { port: 5433 }, new Set(['db1-5433', 'db1-5433-2']))).toBe('db1-5433-3');
    expect(nodeName('db1', { dataDirectory: '/srv/Restored here' }, new Set())).toBe('db1-restored-here');
    const long = nodeName('x'.repeat(90), { dataDirectory: `/${'y'.repeat(90)}` }, new Set());
    expect(() => {
      assertNodeName(`${long}-99`);
    }).not.toThrow();
  });
});
