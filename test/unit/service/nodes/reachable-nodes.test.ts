import { hostname } from 'node:os';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SqliteCatalog } from '../../../../catalog/sqlite/sqlite-catalog.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import type { ClusterRoom } from '../../../../src/service/cluster-room.ts';
import type { ServiceDeps } from '../../../../src/service/deps.ts';
import { reachableNodes } from '../../../../src/service/nodes/list-nodes.ts';
import { MAIN, nodeRow } from '../../../support/catalog-rows.ts';
import { newDirectory } from '../../../support/sandbox.ts';

describe('reachableNodes', () => {
  it('says how each is asked: as configured, as an operator said, or by its data directory on this host', async () => {
    const catalog = SqliteCatalog.open(':memory:');
    const running = newDirectory('running');
    writeFileSync(join(running, 'postmaster.pid'), `1\n${running}\n1\n5433\n/tmp/it's\n*\n`);
    const here = { host: hostname(), origin: 'clone', conninfo: 'host=x port=1' } as const;
    const nodes = [
      nodeRow('away', { host: 'db9', origin: 'operator', conninfo: 'host=db9', dataDirectory: '/srv' }),
      nodeRow('down', { ...here, dataDirectory: newDirectory('down') }),
      nodeRow('nowhere', { ...here, dataDirectory: newDirectory('nowhere'), conninfo: undefined }),
      nodeRow('running', { ...here, dataDirectory: running }),
    ];
    for (const node of nodes) await catalog.nodes.record(node);
    const conninfo = 'host=db1 user=walden password=sesame';
    const config = { name: MAIN, conninfo, backup: { source: 'stream', conninfo }, receive: undefined };
    const deps = { catalog, clock: systemClock } as Partial<ServiceDeps> as ServiceDeps;
    expect(await reachableNodes(deps, { config, receiving: undefined } as unknown as ClusterRoom)).toEqual([
      { name: 'away', conninfo: 'host=db9', dataDirectory: undefined },
      { name: 'db1', conninfo, dataDirectory: undefined },
      { name: 'down', conninfo: 'host=x port=1', dataDirectory: nodes[1]?.dataDirectory },
      {
        name: 'running',
        conninfo: String.raw`host='/tmp/it\'s' port=5433 dbname=postgres user='walden'`,
        dataDirectory: running,
      },
    ]);
    await catalog.close();
  });
});
