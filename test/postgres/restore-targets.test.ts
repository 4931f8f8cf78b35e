import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow, serverTime } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import { verifyBackupTool } from '../support/postgres-binaries.ts';
import type { TestServer } from '../support/postgres-server.ts';
import {
  freshTarget,
  leaveMark,
  type Mark,
  marksOf,
  restoreAndStart,
  type Scene,
  startScene,
} from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { runProgram } from '../support/walden.ts';

/**
 * One history for all: a backup under load, then the marks a, b, c, with a restore point between a and b, and a moment
 * between b and c.
 */
describe.each(testedVersions)('restore to a target, PostgreSQL %i', (version) => {
  let scene: Scene;
  let b: Mark;
  let moment: string;

  beforeAll(async () => {
    scene = await startScene({ version, initdbArguments: ['-k'] });
    const { server, walden } = scene;
    const load = await startLoad(server);
    await load.advance(200);
    await walden.run('backup', 'main');
    await load.advance(200);
    await leaveMark(server, 'a');
    await server.query("select pg_create_restore_point('between a and b')");
    b = await leaveMark(server, 'b');
    moment = await serverTime(server);
    await leaveMark(server, 'c');
    await load.advance(100);
    await load.stop();
    await archiveNow(server);
  });
  afterAll(() => scene.dispose());

  async function restoredMarks(...words: readonly string[]): Promise<readonly string[]> {
    const restored = await restoreAndStart(scene, [...words, '--action', 'promote']);
    const marks = await marksOf(restored);
    await restored.dispose();
    return marks;
  }

  it('--latest brings back every row', async () => {
    const restored = await restoreAndStart(scene, []);
    expect(await fingerprint(restored)).toEqual(await fingerprint(scene.server));
    expect(await restored.value('show archive_mode')).toBe('off');
    await restored.dispose();
  });

  it('--time keeps what was committed before', async () => {
    expect(await restoredMarks('--time', moment)).toEqual(['a', 'b']);
  });

  it('--lsn keeps what was committed before', async () => {
    expect(await restoredMarks('--lsn', b.lsn)).toEqual(['a', 'b']);
  });

  it('--xid keeps the transaction', async () => {
    expect(await restoredMarks('--xid', b.xid)).toEqual(['a', 'b']);
  });

  it('--xid --exclusive leaves the transaction out', async () => {
    expect(await restoredMarks('--xid', b.xid, '--exclusive')).toEqual(['a']);
  });

  it('--name stops at the restore point', async () => {
    expect(await restoredMarks('--name', 'between a and b')).toEqual(['a']);
  });

  it('--immediate stops as soon as the backup is consistent', async () => {
    expect(await restoredMarks('--immediate')).toEqual([]);
  });

  it('--action pause waits at the target, read-only', async () => {
    const restored = await restoreAndStart(scene, ['--lsn', b.lsn, '--action', 'pause'], { waitFor: 'accepting' });
    await untilPaused(restored);
    expect(await marksOf(restored)).toEqual(['a', 'b']);
    await restored.dispose();
  });

  it('refuses a moment that the archive does not hold, before a byte is written', async () => {
    const to = freshTarget();
    const early = await scene.walden.attempt('restore', 'main', '--to', to, '--time', '2001-01-01 00:00:00+00');
    expect(early.status).toBe(51);
    const late = await scene.walden.attempt('restore', 'main', '--to', to, '--time', '2199-01-01 00:00:00+00');
    expect(late.status).toBe(51);
    const unknown = await scene.walden.attempt('restore', 'main', '--to', to, '--name', 'never made');
    expect(unknown.status).toBe(51);
  });

  const verify = verifyBackupTool(version);
  it.skipIf(verify === undefined)('pg_verifybackup finds every file as it was', async () => {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to);
    const outcome = await runProgram(verify!, ['-n', to]);
    expect(outcome).toMatchObject({ status: 0 });
  });
});

async function untilPaused(server: TestServer): Promise<void> {
  await until(async () => (await server.value('select pg_is_wal_replay_paused()')) === 'true', {
    what: 'recovery to pause at its target',
    explain: () => server.log(),
  });
}
