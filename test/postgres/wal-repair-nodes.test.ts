import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archived, archiveInto, archiveNow, serverTime, switchSegment } from '../support/archiving.ts';
import { replayed } from '../support/cloning.ts';
import { breakArchiving, follow, repairerOf, repairWal, streamingStandby } from '../support/failover.ts';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { filesBelow, segmentObject } from '../support/stored.ts';
import { newestVersion as version } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import type { WaldenHarness } from '../support/walden.ts';

const SMALL = { initdbArguments: ['--wal-segsize=1'] };

describe('walden wal repair of a hole in the middle of a timeline', () => {
  let scene: Scene;
  const segments: string[] = [];

  beforeAll(async () => {
    scene = await startScene({ version, ...SMALL, settings: { wal_keep_size: '256MB' } });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await server.query('create role repairer login replication');
    for (const mark of 'abcdefghij') {
      await leaveMark(server, mark);
      // Which hardly can be compressed.
      await server.query(
        `select pg_logical_emit_message(false, 'test', string_agg(md5(random()::text), '')) from generate_series(1, 20000)`,
      );
      segments.push(await archiveNow(server));
    }
  });
  afterAll(async () => {
    await scene.dispose();
  });

  it('goes on where a killed service was, by the primary that still has it', async () => {
    const { server, walden } = scene;
    const whole = filesBelow(walden.repositoryPath()).filter((name) => name.includes('/wal/'));
    const lost = segments.slice(1, 9);
    await lose(walden, lost);
    await walden.stop();
    limitUploads(walden);
    await walden.start();
    const running = walden.launch('wal', 'repair', 'main', '--from', repairerOf(server));
    await until(() => existsSync(segmentObject(walden, lost[0]!)), { what: 'the first segment', everyMs: 20 });
    await walden.kill();
    await running.outcome;
    expect(lost.every((segment) => existsSync(segmentObject(walden, segment)))).toBe(false);
    await walden.start();
    const { status, result } = await repairWal(walden);
    expect(status).toBe(0);
    expect(result.repaired).toMatchObject([{ from: server.dataDirectory }]);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const after = filesBelow(walden.repositoryPath()).filter((name) => name.includes('/wal/'));
    expect(after.filter((name) => whole.includes(name))).toEqual(whole);
    await walden.run('verify', 'main');
  });

  it('tells of a node that it has removed the segments already, and of one that cannot be asked', async () => {
    const { server, walden } = scene;
    await server.query(`alter system set wal_keep_size = 0`);
    await server.query('select pg_reload_conf()');
    await archiveNow(server);
    await server.query('checkpoint');
    await lose(walden, segments.slice(2, 4));
    const { status, result } = await repairWal(walden, '--from', 'host=/nonexistent user=repairer');
    expect(status).toBe(41);
    expect(result.missing).toMatchObject([{ first: segments[2], last: segments[3], segments: 2 }]);
    expect(result.missing[0]?.reasons).toEqual([
      { node: server.dataDirectory, reason: 'not in its pg_wal' },
      { node: server.socketDirectory, reason: 'removed already' },
    ]);
    expect(result.nodes.find(({ name }) => name === '/nonexistent')?.error?.code).toBe('SERVER_UNREACHABLE');
  });

  it('takes nothing from a node that has left the timeline before, nor its history', async () => {
    const { walden } = scene;
    // Its recovery ends at the hole, and it goes on from there.
    const copy = await restoreAndStart(scene, []);
    const { status, result } = await repairWal(walden, '--from', repairerOf(copy));
    await copy.dispose();
    expect(status).toBe(41);
    expect(result.missing[0]?.reasons.find(({ node }) => node === copy.socketDirectory)?.reason).toMatch(
      /^other history: it left timeline 1 at/,
    );
    expect(result.files).toEqual([]);
    expect(filesBelow(walden.repositoryPath()).filter((name) => name.includes('.history'))).toEqual([]);
  });

  it('refuses a node of another cluster', async () => {
    const { walden } = scene;
    const other = await startServer({ version, ...SMALL });
    const before = filesBelow(walden.repositoryPath());
    for (const from of [other.conninfo, other.dataDirectory]) {
      const { status, stderr } = await walden.attempt('wal', 'repair', 'main', '--from', from);
      expect(stderr).toContain('system identifier');
      expect(status).toBe(11);
    }
    expect(filesBelow(walden.repositoryPath())).toEqual(before);
    await other.dispose();
  });

  it('refuses a password on the command line', async () => {
    const outcome = await scene.walden.attempt('wal', 'repair', 'main', '--from', 'host=db2 password=secret');
    expect(outcome.status).toBe(2);
    expect(outcome.stdout + outcome.stderr).not.toContain('secret');
  });
});

/** Timeline 1: b, unarchived, then dead; timeline 2: c, unarchived, then dead; timeline 3: d. */
describe('walden wal repair after two failovers', () => {
  let scene: Scene;
  let second: TestServer;
  let third: TestServer;
  let moment: string;

  beforeAll(async () => {
    scene = await startScene({ version, ...SMALL });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await server.query('create role repairer login replication');
    await archiveNow(server);
    second = await streamingStandby(scene);
    third = await streamingStandby(scene);
    await breakArchiving(server);
    await leaveMark(server, 'b');
    await switchSegment(server);
    await leaveMark(server, 'b2');
    await replayed(second, server);
    await replayed(third, server);
    await server.kill();
    await breakArchivingOf(second);
    await second.query('select pg_promote(true, 60)');
    follow(third, second);
    await third.query('select pg_reload_conf()');
    await leaveMark(second, 'c');
    moment = await serverTime(second);
    await switchSegment(second);
    await leaveMark(second, 'c2');
    await replayed(third, second);
    await second.kill();
    await archiveInto(third, walden);
    await third.query('select pg_promote(true, 60)');
    await leaveMark(third, 'd');
    await archived(third, '00000003.history');
  });
  afterAll(async () => {
    await third.dispose();
    await second.dispose();
    await scene.dispose();
  });

  it('holds back what a recovery could take for WAL of the new timeline', async () => {
    const { server, walden } = scene;
    await server.start();
    await leaveMark(server, 'behind');
    const behind = await switchSegment(server);
    await server.kill();
    const { status, result } = await repairWal(walden, '--from', server.dataDirectory);
    expect(status).toBe(41);
    expect(result.repaired).toMatchObject([{ timeline: 1, behindFork: false }]);
    const held = result.missing.find(({ first }) => first === behind);
    expect(held?.reasons.map(({ reason }) => reason).join()).toContain('held back: a recovery along timeline 2');
    expect(existsSync(segmentObject(walden, behind))).toBe(false);
  });

  it('fetches the WAL of both timelines, and the history of the one between', async () => {
    const { walden } = scene;
    await archiveNow(third);
    const { status, result } = await repairWal(walden, '--from', repairerOf(third));
    expect(status).toBe(0);
    expect(result.files).toMatchObject([{ name: '00000002.history' }]);
    expect(result.repaired.some(({ timeline }) => timeline === 2)).toBe(true);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const inside = await restoreAndStart(scene, ['--time', moment, '--action', 'promote']);
    expect(await marksOf(inside)).toEqual(['b', 'b2', 'c']);
    await inside.dispose();
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['b', 'b2', 'c', 'c2', 'd']);
    await latest.dispose();
  });

  it('stores then what was held back', async () => {
    const { server, walden } = scene;
    const { status, result } = await repairWal(walden, '--from', server.dataDirectory);
    expect(status).toBe(0);
    expect(result.repaired).toMatchObject([{ timeline: 1, behindFork: true }]);
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['b', 'b2', 'c', 'c2', 'd']);
    await latest.dispose();
  });
});

/** Of a standby, which takes no ALTER SYSTEM. */
async function breakArchivingOf(standby: TestServer): Promise<void> {
  appendFileSync(`${standby.dataDirectory}/postgresql.auto.conf`, "archive_command = 'false'\n");
  await standby.query('select pg_reload_conf()');
}

/** Somebody removes objects by hand, and the catalog is built anew. */
async function lose(walden: WaldenHarness, segments: readonly string[]): Promise<void> {
  for (const segment of segments) rmSync(segmentObject(walden, segment));
  await walden.run('catalog', 'rebuild');
}

/** From the next start of the service on: a segment then takes seconds. */
function limitUploads(walden: WaldenHarness): void {
  const text = readFileSync(walden.configFile, 'utf8');
  writeFileSync(walden.configFile, text.replace('[repository.local]', '[repository.local]\nupload_limit = 1'));
}
