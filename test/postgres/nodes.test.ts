import { cpSync, writeFileSync } from 'node:fs';
import { appendFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Value } from '../../src/typebox.ts';
import { NodeList, type NodeDocument, type NodeListDocument } from '../../src/service/api-nodes.ts';
import { archiveNow } from '../support/archiving.ts';
import { type CloneScene, replayed, startCloneScene, streamsFrom } from '../support/cloning.ts';
import { freePort } from '../support/free-port.ts';
import { startRestored, startServer, type TestServer } from '../support/postgres-server.ts';
import { freshTarget, leaveMark } from '../support/scene.ts';
import { type StartedServer, startedServer } from '../support/started-server.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { createWalden, programDirectory, runProgram, type WaldenHarness } from '../support/walden.ts';

/** As names of nodes are made of it. */
const HERE = hostname().toLowerCase();

async function clusterOf(walden: WaldenHarness): Promise<NodeListDocument['clusters'][number]> {
  const { format, ...list } = (await walden.json('node', 'list', 'main')) as NodeListDocument & {
    readonly format: number;
  };
  expect(format).toBe(1);
  expect([...Value.Errors(NodeList, list)]).toEqual([]);
  return list.clusters[0]!;
}

async function nodesOf(walden: WaldenHarness): Promise<Readonly<Record<string, NodeDocument>>> {
  return Object.fromEntries((await clusterOf(walden)).nodes.map((node) => [node.name, node]));
}

/** Without a slot, as somebody makes one by hand: only its primary knows it. */
async function copyByHand(primary: TestServer): Promise<TestServer> {
  const directory = freshTarget();
  const client = await primary.client();
  const isNew = primary.version >= 15;
  await client.query(
    isNew ? "select pg_backup_start('by hand', true)" : "select pg_start_backup('by hand', true, false)",
  );
  cpSync(primary.dataDirectory, directory, { recursive: true, mode: 0 });
  const { rows } = await client.query<{ labelfile: string }>(
    isNew ? 'select labelfile from pg_backup_stop(false)' : 'select labelfile from pg_stop_backup(false, false)',
  );
  await client.end();
  await rm(join(directory, 'postmaster.pid'));
  writeFileSync(join(directory, 'backup_label'), rows[0]!.labelfile);
  writeFileSync(join(directory, 'standby.signal'), '');
  await appendFile(
    join(directory, 'postgresql.auto.conf'),
    [
      `primary_conninfo = 'host=${primary.socketDirectory} port=${primary.conninfo.replace(/.*port=(\d+).*/, '$1')} user=postgres password=sesame'`,
      "cluster_name = 'by_hand'",
      "restore_command = 'AWS_SECRET=sesame cp --sesame /nowhere/%f %p'",
      "archive_mode = 'off'",
      '',
    ].join('\n'),
  );
  return await startRestored(directory, { version: primary.version, waitFor: 'accepting' });
}

describe.each(testedVersions)('walden node list, PostgreSQL %i', (version) => {
  let scene: CloneScene;
  let cloned: StartedServer;
  let byHand: TestServer;
  let target: string;
  let clone: string;
  let primary: string;

  beforeAll(async () => {
    scene = await startCloneScene(version);
    const { server, walden } = scene;
    target = freshTarget();
    const port = await freePort();
    const words = ['clone', 'main', '--to', target, '--slot', 'first', '--port', String(port), '--delay', '1s'];
    const start = ['--start', '--wait', '120', '--pg-bin', server.binDirectory];
    const env = { ...process.env, WALDEN_CONFIG: walden.configFile, PGUSER: 'postgres' };
    const outcome = await runProgram(join(programDirectory, 'walden'), [...words, ...start], { env });
    expect({ status: outcome.status, stderr: outcome.stderr }).toEqual({ status: 0, stderr: '' });
    clone = `${HERE}-${port}`;
    expect(outcome.stdout).toContain(`it is known as node ${clone}: walden node list main`);
    cloned = startedServer(target, version);
    byHand = await copyByHand(server);
    const serverPort = Number(server.conninfo.replace(/.*port=(\d+).*/, '$1'));
    primary = serverPort === 5432 ? HERE : `${HERE}-${serverPort}`;
    await streamsFrom(server, 'first', () => cloned.log());
    await leaveMark(server, 'streamed');
    for (const standby of [cloned, byHand]) await replayed(standby, server);
    await until(
      async () => (await server.value("select count(*) from pg_stat_replication where state = 'streaming'")) === '2',
      { what: 'two standbys to stream' },
    );
  });
  afterAll(async () => {
    await cloned.stop();
    await byHand.dispose();
    await scene.dispose();
  });

  it('shows role, upstream, timeline, lag, slot, delay and where each fetches WAL, and who is not registered', async () => {
    const { cluster, nodes, warnings } = await clusterOf(scene.walden);
    expect({ cluster, warnings, names: nodes.map(({ name }) => name).sort() }).toEqual({
      ...{ cluster: 'main', warnings: [], names: [primary, clone, 'by_hand'].sort() },
    });
    const known = await nodesOf(scene.walden);
    const upstream = `${scene.server.socketDirectory}:${scene.server.conninfo.replace(/.*port=(\d+).*/, '$1')}`;
    expect(known[primary]).toMatchObject({
      ...{
        origin: 'configured',
        role: 'primary',
        state: 'running',
        timeline: 1,
        majorVersion: version,
        upstream: null,
      },
      ...{
        dataDirectory: scene.server.dataDirectory,
        failure: null,
        sameAs: null,
        lagBytes: null,
        slot: null,
        notes: [],
      },
      seen: { role: 'primary', timeline: 1 },
    });
    expect(known[clone]).toMatchObject({
      ...{
        origin: 'clone',
        role: 'standby',
        state: 'streaming',
        timeline: 1,
        upstream,
        delaySeconds: 1,
        slot: 'first',
      },
      ...{ dataDirectory: target, slotStatus: 'reserved', notes: [] },
      fetches: { streamingFrom: upstream, restoreCommand: { kind: 'service', name: null } },
    });
    expect(known['by_hand']).toMatchObject({
      ...{
        origin: 'unregistered',
        role: 'standby',
        state: 'streaming',
        upstream: primary,
        slot: null,
        registeredAt: null,
      },
      fetches: { streamingFrom: primary, restoreCommand: null },
    });
    const text = await scene.walden.run('node', 'list');
    expect(text).toContain('NOT REGISTERED');
    expect(text).not.toContain('sesame');
  });

  it('tells how far a standby is behind whose replay is paused, and what its slot keeps', async () => {
    const { server, walden } = scene;
    await cloned.query('select pg_wal_replay_pause()');
    await until(async () => (await nodesOf(walden))[clone]?.state === 'replay paused', { what: 'the replay to pause' });
    await leaveMark(server, 'not replayed');
    // Without seconds where the primary was too slow to be asked first.
    await until(async () => ((await nodesOf(walden))[clone]?.lagSeconds ?? 0) > 0, { what: 'the lag in seconds' });
    expect((await nodesOf(walden))[clone]?.lagBytes).toBeGreaterThan(0);
    await cloned.query('select pg_wal_replay_resume()');
    await replayed(cloned, server);
    await until(async () => (await nodesOf(walden))[clone]?.lagBytes === 0, { what: 'the lag to be gone' });
    expect((await nodesOf(walden))[clone]).toMatchObject({ lagSeconds: 0, state: 'streaming' });
  });

  it('knows what an operator adds, and forgets it', async () => {
    const { walden } = scene;
    const conninfo = byHand.conninfo;
    await walden.run('node', 'add', 'main', 'db-3', '--conninfo', conninfo);
    const known = await nodesOf(walden);
    expect(Object.keys(known).sort()).toEqual([primary, clone, 'db-3'].sort());
    expect(known['db-3']).toMatchObject({
      ...{ origin: 'operator', role: 'standby', state: 'streaming', conninfo, dataDirectory: byHand.dataDirectory },
      ...{ upstream: known[clone]!.upstream },
      fetches: { restoreCommand: { kind: 'other', name: 'cp' } },
    });
    const text = await walden.run('node', 'list', 'main');
    expect(text).toContain('else restore_command (cp …)');
    expect(text).not.toContain('sesame');
    // The same server under another name is no other server.
    await walden.run('node', 'add', 'main', 'alias', '--conninfo', conninfo);
    expect((await nodesOf(walden))['db-3']).toMatchObject({ sameAs: 'alias' });
    expect(await walden.run('node', 'forget', 'main', 'alias')).toContain('node alias of cluster main: forgotten');
    await walden.run('node', 'forget', 'main', 'db-3');
    expect(Object.keys(await nodesOf(walden))).toContain('by_hand');
  });

  it.runIf(version === newestVersion)('refuses what cannot be a node of the cluster', async () => {
    const { walden } = scene;
    const refusal = async (...words: readonly string[]): Promise<string> => {
      const { status, stderr } = await walden.attempt('node', ...words);
      return `${status}: ${stderr.split('\n')[0] ?? ''}`;
    };
    const add = (name: string, conninfo: string): Promise<string> =>
      refusal('add', 'main', name, '--conninfo', conninfo);
    expect(await add('Not/a name', 'host=db1')).toMatch(/^2: .*cannot be the name of a node/);
    expect(await add('db9', 'host=db9 password=sesame')).toBe(
      '2: walden: the connection string of node db9 holds a password',
    );
    expect(await add('db9', 'postgres://a:sesame@db9')).toMatch(/^2: .*holds a password/);
    expect(await add('db9', 'host=a,b')).toMatch(/^2: .*names several hosts/);
    expect(await add('db9', 'user=walden')).toMatch(/^2: .*names no host/);
    expect(await add('db9', 'host=db9 nonsense=1')).toMatch(/^3: .*nonsense is not known/);
    expect(await add(clone, 'host=db9')).toMatch(/^2: .*has a node .* already/);
    expect(await refusal('forget', 'main', 'db9')).toBe('5: walden: cluster main has no node "db9"');
    expect(await refusal('forget', 'main', primary)).toMatch(/^2: .*stands in the configuration/);
    expect(await refusal('list', 'nothing')).toMatch(/^5: .*there is no cluster "nothing"/);
    const other = await startServer({ version });
    expect(await add('db9', other.conninfo)).toMatch(/^11: .*another cluster's server answers/);
    await other.dispose();
    expect(Object.keys(await nodesOf(walden))).not.toContain('db9');
    // One that does not answer now is known all the same, and said to be away.
    expect(await walden.run('node', 'add', 'main', 'db9', '--conninfo', other.conninfo)).toContain(
      'it does not answer now',
    );
    expect((await nodesOf(walden))['db9']).toMatchObject({
      ...{ role: 'unknown', state: 'unreachable', failure: { code: 'SERVER_UNREACHABLE' }, seen: null },
    });
    await walden.run('node', 'forget', 'main', 'db9');
  });

  it.runIf(version === newestVersion)('waits for no node that says nothing', async () => {
    const { walden } = scene;
    // It takes connections, and answers none.
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const conninfo = `host=127.0.0.1 port=${port} connect_timeout=1`;
    await walden.run('node', 'add', 'main', 'silent', '--conninfo', conninfo);
    const known = await nodesOf(walden);
    expect(known['silent']).toMatchObject({ role: 'unknown', failure: { code: 'SERVER_UNREACHABLE' } });
    expect(known[primary]).toMatchObject({ role: 'primary' });
    expect(await walden.run('node', 'list', 'main')).toMatch(/^silent: .*\(SERVER_UNREACHABLE\)$/m);
    await walden.run('node', 'forget', 'main', 'silent');
    await new Promise((resolve) => silent.close(resolve));
  });

  it.runIf(version === newestVersion)(
    'registers a restore by the service, and neither a drill nor one without it',
    async () => {
      const { walden, server } = scene;
      const before = Object.keys(await nodesOf(walden));
      await archiveNow(server);
      await walden.run('drill', 'main', '--pg-bin', server.binDirectory);
      await walden.run('restore', 'main', '--to', freshTarget(), '--repository-path', walden.repositoryPath());
      expect(Object.keys(await nodesOf(walden))).toEqual(before);
      const to = freshTarget();
      await walden.run('restore', 'main', '--to', to);
      const made = Object.values(await nodesOf(walden)).find(({ dataDirectory }) => dataDirectory === to);
      expect(made).toMatchObject({ origin: 'restore', role: 'not running', conninfo: null });
      await walden.run('node', 'forget', 'main', made!.name);
    },
  );

  it('tells as much as a role may see, and what it lacks', async () => {
    const { server } = scene;
    await server.query('create role seer login replication');
    await replayed(cloned, server);
    const walden = createWalden({
      clusters: { main: { conninfo: server.conninfo.replace('user=postgres', 'user=seer') } },
      clusterSettings: ['backup_source = "stream"', 'receive = true'],
    });
    await walden.start();
    const standby = cloned.conninfo.replace('user=postgres', 'user=seer');
    await walden.run('node', 'add', 'main', 'standby', '--conninfo', standby);
    const few = await nodesOf(walden);
    expect(few[primary]).toMatchObject({ role: 'primary', timeline: 1, state: 'running' });
    expect(few[primary]?.notes).toEqual(['role seer is not shown who streams from it: grant pg_monitor to seer']);
    expect(few['standby']).toMatchObject({
      ...{
        role: 'standby',
        state: 'receiving',
        timeline: 1,
        upstream: null,
        slot: 'first',
        slotStatus: 'reserved',
        delaySeconds: 1,
      },
      notes: ['role seer is not shown whom it streams from and its primary_conninfo: grant pg_monitor to seer'],
    });
    expect(few['standby']?.fetches.streamingFrom).toBeNull();
    await server.query('grant pg_monitor to seer');
    await replayed(cloned, server);
    const more = await nodesOf(walden);
    // The receiver of this service streams too, and is no node.
    expect(Object.keys(more).sort()).toEqual([primary, 'standby', 'by_hand'].sort());
    expect(more['by_hand']).toMatchObject({ origin: 'unregistered' });
    expect(more['standby']).toMatchObject({ state: 'streaming', notes: [] });
    expect(more['standby']?.upstream).toContain(server.socketDirectory);
    await walden.stop();
  });

  it('tells a standby that is down from its control file, and when it was seen last', async () => {
    const { walden, server } = scene;
    await cloned.stop();
    const down = (await nodesOf(walden))[clone];
    expect(down).toMatchObject({
      ...{ role: 'not running', state: 'in archive recovery', timeline: 1, failure: null, slot: 'first' },
      seen: { role: 'standby', timeline: 1 },
    });
    expect(down?.slotRetainedBytes).toBeGreaterThanOrEqual(0);
    const text = await walden.run('node', 'list', 'main');
    expect(text).toMatch(/not running +was in archive recovery/);
    cloned = startedAgain(await startRestored(target, { version, waitFor: 'accepting' }));
    await replayed(cloned, server);
  });

  it('warns of two primaries, by their own word, after a promotion', async () => {
    const { walden, server } = scene;
    await walden.run('node', 'add', 'main', 'db-3', '--conninfo', byHand.conninfo);
    await byHand.query('select pg_promote(true, 60)');
    const both = await clusterOf(walden);
    const roles = Object.fromEntries(both.nodes.map(({ name, role, timeline }) => [name, [role, timeline]]));
    expect(roles).toEqual({ [primary]: ['primary', 1], [clone]: ['standby', 1], 'db-3': ['primary', 2] });
    expect(both.warnings).toEqual([
      `2 servers of cluster main take writes: db-3 (timeline 2) and ${primary} (timeline 1); only one may: stop the others`,
    ]);
    expect(await walden.run('node', 'list', 'main')).toContain(`WARNING: ${both.warnings[0]!}`);
    await server.stop('fast');
    const after = await clusterOf(walden);
    expect(after.warnings).toEqual([]);
    expect(after.nodes.find(({ name }) => name === primary)).toMatchObject({
      ...{ role: 'not running', state: 'shut down', timeline: 1, seen: { role: 'primary' } },
    });
  });
});

function startedAgain(server: TestServer): StartedServer {
  return {
    pid: server.pid!,
    conninfo: server.conninfo,
    client: () => server.client(),
    query: (sql, parameters) => server.query(sql, parameters),
    value: (sql, parameters) => server.value(sql, parameters),
    log: () => '',
    stop: () => server.dispose(),
  };
}
