import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archived, archiveNow } from '../support/archiving.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget, leaveMark, marksOf, type Scene, startScene } from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';

/** Settings of another recovery and another place: each of them alone would keep the restored server from its target. */
const HOSTILE = [
  "recovery_target_name = 'of another recovery'",
  "recovery_target_timeline = '77'",
  "restore_command = 'false'",
  "recovery_end_command = 'exit 200'",
  "archive_cleanup_command = 'false'",
  "recovery_min_apply_delay = '2h'",
  "primary_slot_name = 'nobody'",
];

/**
 * A quiet server, so that the last commit of the archive is known to the microsecond: backup, mark a, mark b at the very
 * end.
 */
describe.each(testedVersions)('restore at the edges of what is archived, PostgreSQL %i', (version) => {
  let scene: Scene;
  let lastCommit: string;
  /** Just behind the switch that ended the last archived segment. */
  let behindSwitch: string;

  beforeAll(async () => {
    scene = await startScene({ version, settings: { autovacuum: 'off', track_commit_timestamp: 'on' } });
    const { server, walden } = scene;
    appendFileSync(join(server.dataDirectory, 'postgresql.conf'), `${HOSTILE.join('\n')}\n`);
    await server.query("alter system set primary_conninfo = 'host=nowhere.invalid'");
    await server.query("alter system set synchronous_standby_names = '*'");
    await walden.run('backup', 'main');
    await leaveMark(server, 'a');
    // More than the head of a stored segment can name.
    await server.query("select pg_create_restore_point('point ' || i) from generate_series(1, 100) i");
    const b = await leaveMark(server, 'b');
    lastCommit = await server.value(
      `select to_char(pg_xact_commit_timestamp($1::text::xid) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`,
      [b.xid],
    );
    const [row] = await server.query('select pg_walfile_name(l) as segment, l::text as lsn from pg_switch_wal() l');
    behindSwitch = String(row!['lsn']);
    await archived(server, String(row!['segment']));
  });
  afterAll(() => scene.dispose());

  async function start(to: string): Promise<TestServer> {
    return await startRestored(to, { version });
  }

  async function marksAt(...words: readonly string[]): Promise<readonly string[]> {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, ...words);
    const restored = await start(to);
    const marks = await marksOf(restored);
    await restored.dispose();
    return marks;
  }

  it('overrules what another recovery left in the configuration', async () => {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, '--action', 'promote', '--time', lastCommit, '--exclusive');
    const restored = await start(to);
    expect(await marksOf(restored)).toEqual(['a']);
    expect(await restored.value('show synchronous_standby_names')).toBe('');
    expect(await restored.value('show primary_conninfo')).toBe('');
    await restored.query("insert into marks values ('written')");
    await restored.dispose();
    expect(readFileSync(join(to, 'postgresql.auto.conf'), 'utf8')).toMatch(/# removed by walden .*primary_conninfo/);
  });

  it('knows to the microsecond which moment the last commit allows', async () => {
    const { status, stderr } = await scene.walden.attempt('plan', 'main', '--time', lastCommit);
    expect(status).toBe(51);
    expect(stderr).toContain('--latest');
    expect(await marksAt('--time', lastCommit, '--exclusive', '--action', 'promote')).toEqual(['a']);
    expect(await marksAt('--latest')).toEqual(['a', 'b']);
  });

  it('knows that no record follows the switch of the last segment', async () => {
    const target = (lsn: string): Promise<{ readonly status: number }> =>
      scene.walden.attempt('plan', 'main', '--lsn', lsn);
    expect((await target(behindSwitch)).status).toBe(51);
    await archiveNow(scene.server);
    expect((await target(behindSwitch)).status).toBe(0);
    expect(await marksAt('--lsn', behindSwitch, '--action', 'promote')).toEqual(['a', 'b']);
  });

  it('finds a restore point that the index of its segment had no room for', async () => {
    expect(await marksAt('--name', 'point 99', '--action', 'promote')).toEqual(['a']);
  });

  it('restores into a path that no shell and no configuration file takes unquoted', async () => {
    const to = join(newDirectory('odd'), `it's 100%p "new" \\ $HOME`);
    await scene.walden.run('restore', 'main', '--to', to);
    const restored = await start(to);
    expect(await marksOf(restored)).toEqual(['a', 'b']);
    await restored.dispose();
  });

  it('makes a standby that goes on with what is archived later', async () => {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, '--standby');
    expect(existsSync(join(to, 'standby.signal'))).toBe(true);
    expect(existsSync(join(to, 'recovery.signal'))).toBe(false);
    const standby = await startRestored(to, { version, waitFor: 'accepting' });
    expect(await standby.value('select pg_is_in_recovery()')).toBe('true');
    expect(await standby.value('show recovery_target_timeline')).toBe('latest');
    await standby.dispose();
  });
});
