import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Value } from '../../src/typebox.ts';
import type { StatusDocument, WalGapsDocument } from '../../src/service/api.ts';
import { WalRepairDocument } from '../../src/service/wal-repair-api.ts';
import { archiveInto, archiveNow, serverTime, switchSegment } from '../support/archiving.ts';
import { replayed } from '../support/cloning.ts';
import { breakArchiving, repairerOf, repairWal, streamingStandby, withoutWal } from '../support/failover.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';

/** Timeline 1: backup, a, then archiving fails: b, c, d, e; the primary dies. Timeline 2 begins in the segment of e: f. */
describe.each(testedVersions)('walden wal repair after a failover, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;
  let first: string;
  let last: string;
  let moment: string;

  beforeAll(async () => {
    scene = await startScene({ version, initdbArguments: ['--wal-segsize=1'] });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await leaveMark(server, 'a');
    await archiveNow(server);
    standby = await streamingStandby(scene);
    await server.query('create role repairer login replication');
    await archiveNow(server);
    await breakArchiving(server);
    await leaveMark(server, 'b');
    first = await switchSegment(server);
    await leaveMark(server, 'c');
    await switchSegment(server);
    await leaveMark(server, 'd');
    moment = await serverTime(server);
    last = await switchSegment(server);
    await leaveMark(server, 'e');
    await replayed(standby, server);
    await server.kill();
    await standby.query('select pg_promote(true, 60)');
    await archiveInto(standby, walden);
    await leaveMark(standby, 'f');
    await archiveNow(standby);
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  it('has status, gaps and check name the hole, and what to do', async () => {
    const { walden } = scene;
    const hole = { repository: 'local', timeline: 1, first, last, segments: 3 };
    const { gaps } = (await walden.json('wal', 'gaps', 'main')) as WalGapsDocument;
    expect(gaps).toEqual([hole]);
    const { clusters } = (await walden.json('status', 'main')) as StatusDocument;
    expect(clusters[0]?.repositories[0]?.missing).toEqual([hole]);
    expect(await walden.run('status', 'main')).toContain(`MISSING: 3 segments from ${first} to ${last} are not there`);
    const { stdout } = await walden.attempt('check', 'main');
    expect(stdout).toMatch(
      new RegExp(`FAILED +wal +in repository local 3 segments from ${first} to ${last} are missing`),
    );
    expect(stdout).toContain('walden wal repair main');
  });

  it('says what stays missing, and what each node said, with a status of its own', async () => {
    const { walden, server } = scene;
    const words = await withoutWal(server, () => walden.attempt('wal', 'repair', 'main'));
    expect(words).toMatchObject({ status: 41 });
    expect(words.stdout).toContain(`MISSING: ${first} to ${last}, 3 segments`);
    expect(words.stdout).toContain(`NOT ASKED: ${server.socketDirectory}: unable to connect to PostgreSQL`);
    expect(words.stderr).toContain('3 segments of the WAL of main stay missing');
  });

  it('with --dry-run says what it would fetch from where, and fetches nothing', async () => {
    const { walden, server } = scene;
    const { status, result } = await withoutWal(server, () =>
      repairWal(walden, '--from', repairerOf(standby), '--dry-run'),
    );
    expect(status).toBe(0);
    expect(result).toMatchObject({ dryRun: true, repaired: [{ first, last, from: standby.socketDirectory }] });
    expect(existsSync(segmentObject(walden, first))).toBe(false);
  });

  it('asks a node that is registered without being told to', async () => {
    const { walden, server } = scene;
    await walden.run('node', 'add', 'main', 'second', '--conninfo', standby.conninfo);
    const { status, result } = await withoutWal(server, () => repairWal(walden, '--dry-run'));
    await walden.run('node', 'forget', 'main', 'second');
    expect(status).toBe(0);
    expect(result).toMatchObject({ repaired: [{ first, last, from: standby.dataDirectory }] });
  });

  it('fetches it from the new primary, by a role that may replicate and nothing else', async () => {
    const { walden, server } = scene;
    const { status, result } = await withoutWal(server, () => repairWal(walden, '--from', repairerOf(standby)));
    expect(status).toBe(0);
    expect(Value.Check(WalRepairDocument, result)).toBe(true);
    expect(result).toMatchObject({
      repaired: [{ first, last, segments: 3, from: standby.socketDirectory, behindFork: false }],
      missing: [],
    });
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const { stdout } = await walden.attempt('check', 'main');
    expect(stdout).toMatch(/ok +wal +none is missing behind the newest backup/);
  });

  it('finds nothing to do when it is begun again', async () => {
    const { walden } = scene;
    expect(await walden.run('wal', 'repair', 'main')).toContain('no WAL of cluster main is missing');
  });

  it('makes every moment reachable, before the fork and behind it', async () => {
    const inside = await restoreAndStart(scene, ['--time', moment, '--action', 'promote']);
    expect(await marksOf(inside)).toEqual(['a', 'b', 'c', 'd']);
    await inside.dispose();
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await latest.dispose();
  });

  it('takes over what only the directory of the old primary has, on its own timeline', async () => {
    const { server, walden } = scene;
    // It comes back for a while, and writes what nobody else has.
    await server.start();
    await leaveMark(server, 'g: behind the fork');
    const behind = [await switchSegment(server), await switchSegment(server)];
    await leaveMark(server, 'h: in the last segment');
    await server.kill();
    const { status, result } = await repairWal(walden, '--from', server.dataDirectory);
    expect(status).toBe(0);
    expect(result).toMatchObject({
      repaired: [{ first: behind[0], last: behind[1], from: server.dataDirectory, behindFork: true }],
      tails: [{ from: server.dataDirectory, behindFork: true }],
    });
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await latest.dispose();
    const old = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(old)).toEqual(['a', 'b', 'c', 'd', 'e', 'g: behind the fork', 'h: in the last segment']);
    await old.dispose();
  });
});
