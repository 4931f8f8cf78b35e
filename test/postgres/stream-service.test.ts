import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { BackupListDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { keyOf, makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { prepareLoad, startLoad, type Transfer, nameOf, transfersIn } from '../support/load.ts';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import { gapsOfArchived, receivedNow, streaming } from '../support/receiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import { assertSameRows, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { appendConfiguration, createWalden, type WaldenHarness } from '../support/walden.ts';

const PASSWORD = 'open sesame';
const STREAM = 'backup_source = "stream"';
const SENDERS = "select count(*) from pg_stat_replication where application_name = 'walden_backup'";

const disposals: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const dispose of disposals.splice(0).reverse()) await dispose();
});

function later<Thing extends { dispose(): Promise<void> }>(thing: Thing): Thing {
  disposals.push(() => thing.dispose());
  return thing;
}

/** A cluster that Walden knows over the replication protocol only. */
async function startDistant(
  server: TestServer,
  conninfo: string,
  options: { readonly lines?: readonly string[]; readonly serviceWithin?: () => readonly string[] } = {},
): Promise<Scene> {
  const walden = createWalden({
    clusters: { main: { conninfo } },
    clusterSettings: [STREAM, 'receive = true', ...(options.lines ?? [])],
    ...(options.serviceWithin === undefined ? {} : { serviceWithin: options.serviceWithin }),
  });
  await walden.start();
  await streaming(walden);
  return {
    server,
    walden,
    dispose: () => walden.kill(),
  };
}

async function backups(scene: Scene): Promise<readonly string[]> {
  const list = (await scene.walden.json('list', 'main')) as BackupListDocument;
  return list.backups.map(({ state }) => state);
}

describe.each(testedVersions)('a cluster that is known over the protocol only, PostgreSQL %i', (version) => {
  it('is backed up under load, tablespaces too, and restored to what it was', async () => {
    const server = later(await startServer({ version, initdbArguments: ['--wal-segsize=1', '-k'] }));
    await server.query('create role streamer login replication');
    mkdirSync(join(server.socketDirectory, 'space'));
    await server.query(`create tablespace space location '${server.socketDirectory}/space'`);
    await prepareLoad(server);
    await server.query('create table far tablespace space as select g, md5(g::text) from generate_series(1, 20000) g');
    const scene = later(await startDistant(server, server.conninfo.replace('user=postgres', 'user=streamer')));
    const load = await startLoad(server);
    await load.advance(100);
    // The receiver has the end of its last segment once the server begins another one.
    const switching = new AbortController();
    const switches = (async () => {
      while (!switching.signal.aborted) {
        await load.advance(50);
        await server.query('select pg_switch_wal()');
      }
    })();
    await scene.walden.run('backup', 'main').finally(() => {
      switching.abort();
    });
    await switches;
    await load.advance(100);
    await load.stop();
    await receivedNow(server, scene.walden);
    expect(await gapsOfArchived(scene.walden)).toMatchObject({ gaps: [] });
    const space = join(newDirectory('space'), 'there');
    const map = `${server.socketDirectory}/space=${space}`;
    const restored = later(await restoreAndStart(scene, ['--tablespace-map', map]));
    await assertSameRows(server, restored);
  }, 300_000);
});

describe('a backup over the protocol', () => {
  it('comes over TLS with a password, which nobody tells', async () => {
    const port = await freePort();
    const directory = newDirectory('tls');
    const passwordFile = join(directory, 'pgpass');
    const certificate = makeCertificate(directory, 'server');
    const server = later(
      await startServer({
        version: newestVersion,
        settings: { password_encryption: 'scram-sha-256' },
        initdbArguments: ['--wal-segsize=1'],
        tcpPort: port,
      }),
    );
    await server.query(`create role streamer login replication password '${PASSWORD}'`);
    const trusted = ['all', 'replication'].map((what) => `local ${what} postgres trust`);
    // PostgreSQL 13 and 14 tell the position of a slot by SQL only.
    const databases = newestVersion < 15 ? ['replication', 'postgres'] : ['replication'];
    const rules = [...trusted, ...databases.map((what) => `hostssl ${what} streamer 127.0.0.1/32 scram-sha-256`), ''];
    writeFileSync(join(server.dataDirectory, 'pg_hba.conf'), rules.join('\n'));
    copyFileSync(certificate, join(server.dataDirectory, 'server.crt'));
    copyFileSync(keyOf(certificate), join(server.dataDirectory, 'server.key'));
    chmodSync(join(server.dataDirectory, 'server.key'), 0o600);
    await server.query('alter system set ssl = on');
    await server.query('select pg_reload_conf()');
    await prepareLoad(server);
    writeFileSync(passwordFile, `127.0.0.1:${port}:*:streamer:${PASSWORD}\n`, { mode: 0o600 });
    const scene = later(
      await startDistant(
        server,
        `host=127.0.0.1 port=${port} user=streamer sslmode=verify-full sslrootcert=${certificate}`,
        { serviceWithin: () => ['/usr/bin/env', `PGPASSFILE=${passwordFile}`] },
      ),
    );
    await takeWhileSwitching(scene);
    expect(await backups(scene)).toEqual(['complete']);
    const restored = later(await restoreAndStart(scene, []));
    await assertSameRows(server, restored);
    expect(await scene.walden.log()).not.toContain(PASSWORD);
  }, 300_000);

  it('whose service is killed or whose server ends in its middle is none, and the next one is', async () => {
    const scene = later(await startScene({ version: newestVersion, walden: { clusterSettings: [STREAM] } }));
    const { server, walden } = scene;
    await restartSlow(walden);
    const running = walden.launch('backup', 'main');
    await until(async () => (await server.value(SENDERS)) === '1', { what: 'the backup to come' });
    await until(async () => (await walden.run('job', 'list')).includes('copying'), {
      what: 'the first files',
      explain: () => walden.log(),
    });
    await walden.kill();
    running.kill();
    await running.outcome;
    await until(async () => (await server.value(SENDERS)) === '0', { what: 'the end of the sender' });
    forgetRate(walden);
    await walden.start();
    await walden.run('backup', 'main');
    expect((await backups(scene)).filter((state) => state === 'complete')).toEqual(['complete']);
    const base = join(walden.repositoryPath(), 'main', 'base');
    const objects = readdirSync(base, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const ids = objects.map(({ parentPath }) => parentPath.slice(base.length + 1).split('/')[0]);
    expect([...new Set(ids)]).toEqual([await latest(scene)]);

    await restartSlow(walden);
    const cut = walden.launch('backup', 'main');
    await until(async () => (await server.value(SENDERS)) === '1', { what: 'the backup to come' });
    await server.stop('immediate');
    const { status, stderr } = await cut.outcome;
    expect({ status, stderr }).toEqual({ status: 10, stderr: expect.stringContaining('PostgreSQL') as string });
    await server.start();
    await walden.stop();
    forgetRate(walden);
    await walden.start();
    await walden.run('backup', 'main');
    expect((await backups(scene)).filter((state) => state === 'complete')).toHaveLength(2);
    const restored = later(await restoreAndStart(scene, []));
    await assertSameRows(server, restored);
  }, 300_000);
});

/** So that something can happen while a backup is taken. */
async function restartSlow(walden: WaldenHarness): Promise<void> {
  await walden.stop();
  await appendConfiguration(walden, ['stream_max_rate = 1']);
  await walden.start();
}

/** From the next start of the service on. */
function forgetRate(walden: WaldenHarness): void {
  const lines = readFileSync(walden.configFile, 'utf8').split('\n');
  writeFileSync(walden.configFile, lines.filter((line) => !line.startsWith('stream_max_rate')).join('\n'));
}

/** Without an archiver, the last segment that a backup needs comes when the next one begins. */
async function takeWhileSwitching({ server, walden }: Scene, ...words: readonly string[]): Promise<void> {
  let ended = false;
  const taking = walden.run('backup', 'main', ...words).finally(() => {
    ended = true;
  });
  // Its failure is told by the return below.
  taking.catch(() => undefined);
  await until(
    async () => {
      await server.query("select pg_logical_emit_message(false, 'test', 'ends a segment')");
      await server.query('select pg_switch_wal()');
      return ended;
    },
    { what: 'the end of the backup', everyMs: 200 },
  );
  await taking;
}

describe.each(testedVersions)('a backup over the protocol from a standby, PostgreSQL %i', (version) => {
  it('holds what its primary held', async () => {
    const scene = later(
      await startScene({
        version,
        initdbArguments: ['--wal-segsize=1', '-k'],
        settings: version >= 17 ? { summarize_wal: 'on' } : {},
        walden: { clusterSettings: [STREAM] },
      }),
    );
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    const standby = later(await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' }));
    await walden.stop();
    await appendConfiguration(walden, [`replication_conninfo = "${standby.conninfo}"`]);
    await walden.start();
    const load = await startLoad(server);
    await load.advance(50);
    await takeWhileSwitching(scene);
    await load.advance(50);
    const acknowledged: readonly Transfer[] = await load.stop();
    await archiveNow(server);
    expect((await backups(scene)).filter((state) => state === 'complete')).toHaveLength(2);
    const label = await walden.run('repository', 'get', 'local', `main/base/${await latest(scene)}/backup.json`);
    expect(label).toContain('BACKUP FROM: standby');
    expect(await walden.log()).not.toContain('the time on the server is not known');
    const restored = later(await restoreAndStart(scene, ['--backup', await latest(scene)]));
    const there = await transfersIn(restored);
    expect(acknowledged.filter((transfer) => !there.has(nameOf(transfer)))).toEqual([]);
    await assertSameRows(server, restored);
    if (version >= 17) await buildOn(await latest(scene), scene, standby);
  }, 300_000);
});

/** An incremental backup of the standby, and the restore of what it builds on with it. */
async function buildOn(full: string, scene: Scene, standby: TestServer): Promise<void> {
  const { server, walden } = scene;
  // A standby begins where its last restartpoint was, which may be where the full backup began.
  const tooEarly = await walden.attempt('backup', 'main', '--incremental');
  expect([tooEarly.status, tooEarly.stderr]).toEqual([13, expect.stringContaining('checkpoint')]);
  await server.query('update accounts set balance = balance where id % 10 = 0');
  await server.query('checkpoint');
  const checkpoint = await server.value('select checkpoint_lsn from pg_control_checkpoint()');
  await archiveNow(server);
  await until(async () => (await standby.value(`select pg_last_wal_replay_lsn() > '${checkpoint}'`)) === 'true', {
    what: 'the standby to replay a checkpoint',
  });
  await takeWhileSwitching(scene, '--incremental');
  await archiveNow(server);
  const list = (await walden.json('list', 'main')) as BackupListDocument;
  const increment = list.backups.find(({ id }) => id.endsWith('I') && id > full);
  expect(increment?.facts?.parent).toBe(full);
  const restored = later(await restoreAndStart(scene, ['--backup', increment!.id]));
  await assertSameRows(server, restored);
}

async function latest({ walden }: Scene): Promise<string> {
  const list = (await walden.json('list', 'main')) as BackupListDocument;
  return (
    list.backups
      .map(({ id }) => id)
      .sort()
      .at(-1) ?? ''
  );
}
