import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { currentServerRun } from '../../src/postgres/server-run.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { WalFetcher } from '../../src/wal/fetch.ts';
import { WalPusher } from '../../src/wal/push.ts';
import { archiveNow, switchSegment } from '../support/archiving.ts';
import { initialise } from '../support/postgres-server.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { beginServerRun, createWalPool, openLocalRepository, setUpWal, type WalSetup } from '../support/wal-setup.ts';

const SETTINGS = { archive_mode: 'on', wal_level: 'replica' };

describe('a cluster that was made anew in the place of another', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, initdbArguments: ['--wal-segsize=1'] });
  });
  afterAll(() => scene.dispose());

  it('is not told that its WAL is archived, though acknowledgements of the same names are newer', async () => {
    const { server, walden } = scene;
    const { archiveCommand } = await walden.commandSettings();
    const acknowledgements = join(walden.stateDirectory, 'spool', 'main', 'push');
    const first = await archiveNow(server);
    const text = `${(await currentServerRun(server.dataDirectory))!}\n`;
    await server.stop();
    rmSync(server.dataDirectory, { recursive: true });
    await initialise(server.dataDirectory, {
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      settings: { ...SETTINGS, archive_command: archiveCommand },
    });
    // As a clock leaves them that was an hour ahead while the old cluster was archived.
    const later = Date.now() / 1000 + 3600;
    const stale = Array.from({ length: 9 }, (_, index) => `${first.slice(0, 23)}${index + 1}`);
    for (const name of stale) {
      writeFileSync(join(acknowledgements, `${name}.ok`), text);
      utimesSync(join(acknowledgements, `${name}.ok`), later, later);
    }
    await server.start();
    const segment = await switchSegment(server);
    expect(stale).toContain(segment);
    await until(async () => /walden-push: .*(SERVER_MISMATCH|ARCHIVE_DUPLICATE)/.test(await server.log()), {
      what: 'PostgreSQL to hear whose archive this is',
      explain: () => server.log(),
    });
    expect(existsSync(join(server.dataDirectory, 'pg_wal/archive_status', `${segment}.done`))).toBe(false);
    expect(await server.log()).toContain(segment);
  });
});

describe('the spool', () => {
  const pool = createWalPool();
  let repository: Repository;
  let setup: WalSetup;
  let pusher: WalPusher;
  let fetcher: WalFetcher;
  beforeEach(async () => {
    repository = await openLocalRepository('local');
    setup = await setUpWal(pool, [repository]);
    pusher = new WalPusher(setup.context, { dataDirectory: setup.dataDirectory, spool: setup.spool });
    fetcher = new WalFetcher(setup.context, setup.spool);
  });
  afterEach(async () => {
    chmodSync(join(setup.spool.directory, 'push'), 0o700);
    chmodSync(setup.spool.fetchDirectory, 0o700);
    await pusher.stop();
    await fetcher.stop();
  });
  afterAll(() => pool.close());

  it('forgets what was acknowledged to another run of the server', async () => {
    const name = setup.segment(3n);
    await pusher.push(name);
    expect(setup.acknowledged()).toEqual([`${name}.ok`]);
    beginServerRun(setup.dataDirectory, 1_790_000_001);
    const next = setup.segment(4n);
    await pusher.push(next);
    // The file of this name may be another one now: it is looked at, and acknowledged anew.
    await until(() => setup.acknowledged().length === 2, { what: 'both acknowledgements' });
    const run = await currentServerRun(setup.dataDirectory);
    expect(run).toContain('1790000001');
  });

  it('acknowledges nothing while no server runs that could be told from another', async () => {
    rmSync(join(setup.dataDirectory, 'postmaster.pid'));
    await pusher.push(setup.segment(3n));
    expect(setup.acknowledged()).toEqual([]);
  });

  it('may be gone: what is durable is success, and the next scan makes it anew', async () => {
    rmSync(setup.spool.directory, { recursive: true });
    const name = setup.segment(3n);
    await pusher.push(name);
    await until(() => existsSync(setup.spool.fetchDirectory), { what: 'a new spool' });
    rmSync(setup.spool.directory, { recursive: true });
    expect(await fetcher.fetch(name)).toBe('ready');
    const after = setup.segment(4n);
    await pusher.push(after);
    await until(() => setup.acknowledged().includes(`${after}.ok`), {
      what: 'acknowledgements again',
    });
  });

  it('may be closed to the service: pushing goes on, and fetching names it and never says absent', async () => {
    const name = setup.segment(3n);
    chmodSync(join(setup.spool.directory, 'push'), 0o500);
    chmodSync(setup.spool.fetchDirectory, 0o500);
    await pusher.push(name);
    expect(setup.acknowledged()).toEqual([]);
    await expect(fetcher.fetch(name)).rejects.toMatchObject({
      code: 'LOCAL_IO',
      message: expect.stringContaining(`unable to write ${name} to ${setup.spool.fetchDirectory} (EACCES)`) as string,
    });
    chmodSync(setup.spool.fetchDirectory, 0o700);
    expect(await fetcher.fetch(name)).toBe('ready');
  });

  it('never gives prefetched files of another cluster out', async () => {
    const name = setup.segment(3n);
    await setup.spool.claim(setup.context.identity.systemIdentifier, 'boot');
    writeFileSync(setup.spool.prefetchedPath(parseWalName(name).name), 'of the old cluster');
    await setup.spool.claim('7300000000000000002' as typeof setup.context.identity.systemIdentifier, 'boot');
    expect(readdirSync(setup.spool.fetchDirectory)).toEqual([]);
  });

  it('may be a link to a directory elsewhere', async () => {
    const elsewhere = `${setup.spool.fetchDirectory}-elsewhere`;
    rmSync(setup.spool.fetchDirectory, { recursive: true });
    mkdirSync(elsewhere);
    symlinkSync(elsewhere, setup.spool.fetchDirectory);
    const name = setup.segment(3n);
    await pusher.push(name);
    expect(await fetcher.fetch(name)).toBe('ready');
    expect(readdirSync(elsewhere)).toContain(name);
  });
});
