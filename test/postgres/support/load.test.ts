import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkIndexes, fingerprint } from '../../support/fingerprint.ts';
import { nameOf, prepareLoad, startLoad, totalBalance, transfersIn } from '../../support/load.ts';
import { startServer, type TestServer } from '../../support/postgres-server.ts';
import { newestVersion } from '../../support/tested-versions.ts';

describe('startLoad', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ version: newestVersion });
    await prepareLoad(server);
  });
  afterAll(() => server.dispose());

  it('returns every transfer that was acknowledged and keeps the sum of the balances', async () => {
    const load = await startLoad(server);
    await load.advance(50);
    const acknowledged = await load.stop();
    const transfers = await server.query('select id, xid::text from transfers order by id');
    expect(acknowledged.map(({ transfer }) => transfer).sort()).toEqual(transfers.map((row) => row['id']).sort());
    expect(await server.value('select sum(balance) from accounts')).toBe(totalBalance());
    expect(await checkIndexes(server)).toBeGreaterThan(100);
  });

  it('gives what was acknowledged when the server was killed', async () => {
    const load = await startLoad(server);
    await load.advance(20);
    await server.kill();
    const acknowledged = await load.stop({ tolerant: true });
    await server.start();
    const kept = await server.value('select count(*) from transfers where id = any ($1)', [
      acknowledged.map(({ transfer }) => transfer),
    ]);
    expect(kept).toBe(String(acknowledged.length));
  });

  it('goes on when the server comes back, and knows everything that it attempted', async () => {
    const load = await startLoad(server, { reconnect: true });
    await load.advance(20);
    await server.kill();
    await server.start();
    await load.advance(20);
    const acknowledged = await load.stop();
    const held = await transfersIn(server);
    expect(acknowledged.map(nameOf).filter((name) => !held.has(name))).toEqual([]);
    expect(acknowledged.map(nameOf).filter((name) => !load.attempted.has(name))).toEqual([]);
  });

  it('has a fingerprint that changes with one value', async () => {
    const before = await fingerprint(server);
    expect(await fingerprint(server)).toEqual(before);
    await server.query('update accounts set balance = balance + 1 where id = 1');
    expect(Object.keys(before)).toEqual(['public.accounts', 'public.transfers']);
    expect(await fingerprint(server)).not.toEqual(before);
  });
});
