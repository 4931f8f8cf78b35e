import { appendFileSync, existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterStatusDocument, StatusDocument } from '../../src/service/api.ts';
import { WalRepairDocument } from '../../src/service/wal-repair-api.ts';
import { archiveInto, archiveNow, serverTime, switchSegment } from '../support/archiving.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import type { WaldenHarness } from '../support/walden.ts';
import { replayed } from '../support/cloning.ts';

const SMALL = ['--wal-segsize=1'];

describe.each(testedVersions)('walden wal repair after a failover, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;
  let lost: readonly string[];
  let moment: string;

  beforeAll(async () => {
    scene = await startScene({ version, initdbArguments: SMALL });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await leaveMark(server, 'a');
    await archiveNow(server);
    standby = await standbyOf(scene);
    await breakArchiving(server);
    const segments: string[] = [];
    for (const mark of ['b', 'c', 'd']) {
      await leaveMark(server, mark);
      if (mark === 'd') moment = await serverTime(server);
      segments.push(await switchSegment(server));
    }
    lost = segments;
    await leaveMark(server, 'e');
    await replayed(standby, server);
    await server.kill();
    await standby.query('select pg_promote(true, 60)');
    await archiveInto(standby, walden);
    await leaveMark(standby, 'f');
    await archiveNow(standby);
    // What reaches it needs the replication protocol alone.
    await standby.query('create role repairer login replication');
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  it('is told by status, gaps and check, with what to do', async () => {
    const { walden } = scene;
    const [gap] = ((await walden.json('wal', 'gaps', 'main')) as { gaps: readonly { first: string; last: string }[] })
      .gaps;
    expect(gap).toMatchObject({ first: lost[0], last: lost[2] });
    const [local] = (await statusOf(walden)).repositories;
    expect(local?.missing).toMatchObject([{ first: lost[0], last: lost[2], segments: 3 }]);
    expect(await walden.run('status', 'main')).toContain(`MISSING: 3 segments from ${lost[0]!} to ${lost[2]!}`);
    const check = await walden.attempt('check', 'main', '--timeout', '1');
    expect(check.stdout).toMatch(
      new RegExp(`FAILED +wal +in repository local 3 segments from ${lost[0]!} to ${lost[2]!}`),
    );
    expect(check.stdout).toContain('walden wal repair main');
  });

  it('says what stays missing, why, and ends with a status of its own', async () => {
    const { walden, server } = scene;
    // The configured conninfo is that of the dead one; its directory does not count here.
    const away = join(server.dataDirectory, 'pg_wal.away');
    await move(join(server.dataDirectory, 'pg_wal'), away);
    const repair = await walden.attempt('wal', 'repair', 'main');
    await move(away, join(server.dataDirectory, 'pg_wal'));
    expect(repair.status).toBe(41);
    expect(repair.stdout).toContain(`MISSING: ${lost[0]!} to ${lost[2]!}, 3 segments`);
    expect(repair.stderr).toContain('3 segments of the WAL of main stay missing');
  });

  it('--dry-run says what it would fetch, and fetches nothing', async () => {
    const { walden } = scene;
    const result = await repaired(walden, ['--from', roleOf(standby), '--dry-run']);
    expect(result).toMatchObject({ dryRun: true, repaired: [{ first: lost[0], last: lost[2] }], missing: [] });
    expect(lost.some((segment) => existsSync(segmentObject(walden, segment)))).toBe(false);
  });

  it('fetches it from the new primary, by a role that may replicate and nothing else', async () => {
    const { walden, server } = scene;
    const away = join(server.dataDirectory, 'pg_wal.away');
    await move(join(server.dataDirectory, 'pg_wal'), away);
    const result = await repaired(walden, ['--from', roleOf(standby)]);
    await move(away, join(server.dataDirectory, 'pg_wal'));
    expect(Value.Check(WalRepairDocument, result)).toBe(true);
    expect(result.repaired).toMatchObject([
      { first: lost[0], last: lost[2], segments: 3, from: standby.socketDirectory, behindFork: false },
    ]);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const check = await walden.attempt('check', 'main', '--timeout', '1');
    expect(check.stdout).toMatch(/ok +wal +none is missing/);
    expect(await repaired(walden, ['--from', roleOf(standby)])).toMatchObject({ repaired: [], missing: [] });
  });

  it('makes every moment reachable, before, in and behind the fork', async () => {
    const inside = await restoreAndStart(scene, ['--time', moment, '--action', 'promote']);
    expect(await marksOf(inside)).toEqual(['a', 'b', 'c', 'd']);
    await inside.dispose();
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await latest.dispose();
  });

  it('takes over what only the directory of the dead primary has, also behind the fork', async () => {
    const { server, walden } = scene;
    // It comes back for a while, and writes what nobody else has.
    await server.start();
    await leaveMark(server, 'behind');
    const behind = [await switchSegment(server), await switchSegment(server)];
    await leaveMark(server, 'in the last segment');
    await server.kill();
    const result = await repaired(walden, ['--from', server.dataDirectory]);
    expect(result.repaired).toMatchObject([{ first: behind[0], last: behind[1], behindFork: true }]);
    expect(result.tails).toMatchObject([{ from: server.dataDirectory, behindFork: true }]);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const latest = await restoreAndStart(scene, []);
    expect(await marksOf(latest)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await latest.dispose();
    const old = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(old)).toEqual(['a', 'b', 'behind', 'c', 'd', 'e', 'in the last segment']);
    await old.dispose();
  });
});

/** Its standby, which streams and will archive once it is promoted. */
export async function standbyOf(scene: Scene): Promise<TestServer> {
  const { server } = scene;
  const standby = await restoreAndStart(scene, ['--standby', '--take-over'], { waitFor: 'accepting' });
  await standby.stop();
  // Over what stands there: an empty archive is not asked for what comes by streaming.
  const settings = ["wal_keep_size = '256MB'", `primary_conninfo = '${primaryOf(server)}'`, "restore_command = ''"];
  appendFileSync(join(standby.dataDirectory, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
  await standby.start('accepting');
  return standby;
}

function primaryOf({ socketDirectory }: TestServer): string {
  return `host=${socketDirectory} port=5432 user=postgres`;
}

function roleOf({ socketDirectory }: TestServer): string {
  return `host=${socketDirectory} port=5432 user=repairer`;
}

export async function breakArchiving(server: TestServer): Promise<void> {
  await server.query(`alter system set archive_command = 'false'`);
  await server.query('select pg_reload_conf()');
}

async function move(from: string, to: string): Promise<void> {
  await rename(from, to);
}

async function statusOf(walden: WaldenHarness): Promise<ClusterStatusDocument> {
  const { clusters } = (await walden.json('status', 'main')) as StatusDocument;
  return clusters[0]!;
}

export async function repaired(walden: WaldenHarness, words: readonly string[]): Promise<WalRepairDocument> {
  const outcome = await walden.attempt('wal', 'repair', 'main', ...words, '--json');
  if (outcome.status !== 0) throw new Error(`${outcome.stdout}\n${outcome.stderr}\n${await walden.log()}`);
  return JSON.parse(outcome.stdout) as WalRepairDocument;
}
