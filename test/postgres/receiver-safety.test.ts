import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseConninfo } from '../../src/postgres/conninfo.ts';
import { lsn, parseLsn, type TimelineId } from '../../src/postgres/lsn.ts';
import { ReplicationConnection } from '../../src/postgres/replication/connection.ts';
import { archiveInto, archiveNow, switchSegment } from '../support/archiving.ts';
import { nameOf, prepareLoad, startLoad, transfersIn } from '../support/load.ts';
import { startServer } from '../support/postgres-server.ts';
import {
  gapsOfArchived,
  partialReceived,
  receivedNow,
  receiveDirectory,
  receiveFrom,
  receiverOf,
  receiverThat,
  restoreAtOnce,
  SLOT,
  startReceiving,
  streaming,
  waitForReceiver,
} from '../support/receiving.ts';
import { freshTarget, type Scene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { createWalden } from '../support/walden.ts';

const SPOOL = 'acknowledge = "spool"';

describe.each(testedVersions)('a synchronous standby, PostgreSQL %i', (version) => {
  let scene: Scene | undefined;
  afterEach(() => scene?.dispose());

  it('has every commit that it let through, in the repository or in the spool, when both are killed', async () => {
    scene = await startReceiving({ version, lines: [SPOOL, 'application_name = "archive"'] });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await waitForReceiver(server, 'archive');
    const load = await startLoad(server);
    await load.advance(400);
    await walden.kill();
    await walden.start();
    await load.advance(400);
    await walden.kill();
    await server.kill();
    const acknowledged = await load.stop({ tolerant: true });
    expect(acknowledged.length).toBeGreaterThanOrEqual(800);
    // At once: what is whole in the spool need not be in the repository yet, and the last segment never will.
    await walden.start();
    const restored = await restoreAtOnce(scene);
    const found = await transfersIn(restored);
    expect(acknowledged.map(nameOf).filter((name) => !found.has(name))).toEqual([]);
    await restored.dispose();
  });
});

describe('a receiver in trouble', () => {
  const version = newestVersion;
  const scenes: { dispose(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.dispose();
  });

  async function begin(...lines: readonly string[]): Promise<Scene> {
    const scene = await startReceiving({ version, lines, settings: { min_wal_size: '2MB', max_wal_size: '4MB' } });
    scenes.push(scene);
    return scene;
  }

  it('takes no byte from another cluster, and makes no slot there', async () => {
    const [server, other] = [await startServer({ version }), await startServer({ version })];
    const clusterSettings = ['receive = true', `replication_conninfo = "${other.conninfo}"`];
    const walden = createWalden({ clusters: { main: server }, clusterSettings });
    scenes.push(server, other, { dispose: () => walden.kill() });
    await walden.start();
    const { failure } = await receiverThat(walden, 'a refusal', (receiver) => receiver.failure !== null);
    expect(failure?.error.code).toBe('SERVER_MISMATCH');
    expect(await other.value('select count(*) from pg_replication_slots')).toBe('0');
    expect(filesBelow(receiveDirectory(walden))).toEqual([]);
  });

  it('waits while somebody else uses its slot', async () => {
    const { server, walden } = await begin();
    await walden.stop();
    const thief = await ReplicationConnection.open(parseConninfo(server.conninfo));
    const start = lsn(parseLsn(await server.value('select pg_current_wal_flush_lsn()')) & ~0xfffffn);
    const stream = thief.startStreaming({ slot: SLOT, timeline: 1 as TimelineId, start });
    expect((await stream.next(60_000)).kind).toBe('begun');
    await walden.start();
    const { failure } = await receiverThat(walden, 'the trouble', (receiver) => receiver.failure !== null);
    expect(failure?.error.details).toMatchObject({ sqlstate: '55006' });
    await thief.close();
    await streaming(walden);
    await receivedNow(server, walden);
  });

  it('makes a slot that somebody dropped anew, and goes on without a hole while the server has the WAL', async () => {
    const { server, walden } = await begin();
    await walden.stop();
    await server.query('select pg_drop_replication_slot($1)', [SLOT]);
    await walden.start();
    await streaming(walden);
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
  });

  it('tells the hole where the server no longer has the WAL, and goes on behind it', async () => {
    const { server, walden } = await begin();
    await receivedNow(server, walden);
    await server.query(`insert into marks values ('a tail')`);
    const { segment: lost } = await partialReceived(walden);
    await walden.stop();
    await server.query('select pg_drop_replication_slot($1)', [SLOT]);
    await until(
      async () => {
        await server.query(`select pg_logical_emit_message(true, 'test', repeat('x', 100000)), pg_switch_wal()`);
        await server.query('checkpoint');
        const left = await server.value('select count(*) from pg_ls_waldir() where name = $1', [lost]);
        return left === '0';
      },
      { what: 'the server to remove its WAL' },
    );
    await walden.start();
    const { gap } = await receiverThat(
      walden,
      'the receiver to go on',
      (receiver) => receiver.state === 'streaming' && receiver.gap !== null,
    );
    expect(gap?.first).toBe(lost);
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [{ first: lost, last: gap?.last }] });
    expect(await walden.run('status', 'main')).toContain(`LOST: WAL from ${lost} to ${gap?.last ?? ''}`);
    expect(filesBelow(join(receiveDirectory(walden), 'kept'))).toEqual([`${lost}.partial.1`]);
  });

  it('survives a network that cuts, stops and falls to pieces', async () => {
    const { server, walden } = await begin();
    await walden.stop();
    const proxy = await TcpFaultProxy.start(join(server.socketDirectory, '.s.PGSQL.5432'));
    scenes.push({ dispose: () => proxy.stop() });
    proxy.pieceBytes = 1000;
    receiveFrom(walden, `host=127.0.0.1 port=${proxy.port} user=postgres`);
    await walden.start();
    await streaming(walden);
    const load = await startLoad(server);
    for (const fault of ['reset', 'reset', 'silence'] as const) {
      const before = proxy.struck;
      proxy.plan(fault, 'down', { afterBytes: 300_000 });
      await until(() => proxy.struck > before, { what: `the fault ${fault}` });
      await receiverThat(walden, 'a new session', ({ state, lagBytes }) => state === 'streaming' && lagBytes !== null);
    }
    await load.stop();
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect(await walden.log()).toContain('has said nothing for 30 s');
  });

  it('stops receiving while the repositories take nothing, loses nothing, and goes on by itself', async () => {
    const { server, walden } = await begin(SPOOL, 'receive_spool_limit = 4');
    const gone = `${walden.repositoryPath()}.away`;
    await receivedNow(server, walden);
    renameSync(walden.repositoryPath(), gone);
    const load = await startLoad(server);
    const full = await receiverThat(
      walden,
      'the spool to be full',
      ({ failure }) => failure?.error.code === 'STORAGE_FULL',
    );
    expect(full.waitingFiles).toBe(3);
    await load.advance(200);
    await load.stop();
    renameSync(gone, walden.repositoryPath());
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect((await receiverOf(walden)).failure).toBeNull();
  });
});

describe('push and receive together', () => {
  const scenes: { dispose(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.dispose();
  });

  it('make one object of each segment', async () => {
    const server = await startServer({
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      settings: { archive_mode: 'on' },
    });
    const walden = createWalden({ clusters: { main: server }, clusterSettings: ['receive = true'] });
    scenes.push(server, { dispose: () => walden.kill() });
    await walden.start();
    await archiveInto(server, walden);
    await streaming(walden);
    await prepareLoad(server);
    const load = await startLoad(server);
    await load.advance(500);
    await load.stop();
    const segment = await archiveNow(server);
    await receiverThat(
      walden,
      'everything to be received',
      ({ waitingFiles, acknowledgedLsn }) =>
        waitingFiles === 0 && acknowledgedLsn !== null && parseLsn(acknowledgedLsn) % 0x100000n === 0n,
    );
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect(await walden.run('status', 'main')).not.toContain('REFUSED');
    const objects = filesBelow(join(walden.repositoryPath(), 'main', 'wal')).filter((file) => file.includes(segment));
    expect(objects).toHaveLength(1);
  });

  it('other bytes of a segment are told and kept, and keep no other segment from its way', async () => {
    const scene = await startReceiving({ version: newestVersion });
    scenes.push(scene);
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    // Else it would begin behind the segment that is pushed, and have nothing to compare.
    await server.query(`insert into marks values ('begun')`);
    await partialReceived(walden, await server.value('select pg_walfile_name(pg_current_wal_lsn())'));
    expect(await walden.run('receiver', 'stop', 'main')).toContain('Receiver: stopped');
    const segment = await switchSegment(server);
    const bytes = readFileSync(join(server.dataDirectory, 'pg_wal', segment));
    // Behind the switch record nobody looks.
    bytes[bytes.length - 1] = 7;
    const other = join(walden.directory, segment);
    writeFileSync(other, bytes);
    await walden.run('wal', 'push', 'main', other);
    expect(await walden.run('receiver', 'start', 'main')).toContain('Receiver: ');
    await receivedNow(server, walden);
    const { waitingFiles, acknowledgedLsn } = await receiverThat(
      walden,
      'the difference to be noticed',
      (receiver) => receiver.waitingFiles === 1,
    );
    expect(waitingFiles).toBe(1);
    const status = await walden.run('status', 'main');
    expect(status).toContain(`REFUSED: ${segment}`);
    expect(status).toContain('ARCHIVE_DUPLICATE');
    // What is not in the repository is not acknowledged.
    const start = await server.value(`select ('x' || substr($1, 17))::bit(32)::bigint * 1048576`, [segment]);
    expect(parseLsn(acknowledgedLsn ?? '')).toBe(BigInt(start));
    const received = readFileSync(join(receiveDirectory(walden), 'done', segment));
    expect(received.at(-1)).toBe(0);
    // Nor is it given to a restored server, which would take it while the repository is away.
    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to);
    expect(filesBelow(join(to, 'pg_wal'))).not.toContain(segment);
    const kept = join(receiveDirectory(walden), 'kept', `${segment}.1`);
    expect(await walden.run('receiver', 'reset', 'main')).toContain(`put aside: ${kept}`);
    expect(readFileSync(kept).equals(received)).toBe(true);
    await receiverThat(walden, 'nothing to wait', (receiver) => receiver.waitingFiles === 0);
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
  });

  it('a cluster that receives nothing says so to who wants to start it', async () => {
    const server = await startServer({ version: newestVersion });
    const walden = createWalden({ clusters: { main: server } });
    scenes.push(server, { dispose: () => walden.kill() });
    await walden.start();
    const { status, stderr } = await walden.attempt('receiver', 'start', 'main');
    expect(status).toBe(5);
    expect(stderr).toContain('set receive = true in [cluster.main]');
  });
});
