import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckDocument } from '../../src/cli/render/check.ts';
import { appendSettings, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { appendConfiguration, type WaldenHarness } from '../support/walden.ts';

const CHECK_FAILED = 70;
const PLUGIN = { ok: 0, critical: 2, unknown: 3 };
/** Not in vain: WAL that cannot arrive is waited for this long. */
const SOON = ['--timeout', '2'];

type Lines = CheckDocument['checks'];

describe('walden check', () => {
  const version = newestVersion;
  let scene: Scene;
  let walden: WaldenHarness;
  let server: TestServer;

  beforeAll(async () => {
    scene = await startScene({ version });
    ({ walden, server } = scene);
    await walden.run('backup', 'main');
  });
  afterAll(async () => {
    await scene.dispose();
  });

  const reload = async (settings: Readonly<Record<string, string>>): Promise<void> => {
    await appendSettings(server.dataDirectory, settings);
    await server.query('select pg_reload_conf()');
  };
  /** Lines that failed, of a check that failed. */
  const failures = async (...words: readonly string[]): Promise<Lines> => {
    const { status, stdout } = await walden.attempt('check', 'main', '--json', ...words);
    const document = JSON.parse(stdout) as CheckDocument;
    expect({ status, outcome: document.outcome }).toEqual({ status: CHECK_FAILED, outcome: 'failed' });
    return document.checks.filter(({ outcome }) => outcome === 'failed');
  };
  const asRole = (role: string): string => {
    const path = join(newDirectory('config'), 'walden.toml');
    writeFileSync(path, readFileSync(walden.configFile, 'utf8').replace('user=postgres', `user=${role}`));
    return path;
  };

  it('is content with a cluster whose WAL arrives', async () => {
    const text = await walden.run('check', 'main');
    expect(text).toMatch(/ok +wal arrives +0000000100000000000000\w\w was in local after/);
    expect(text).toMatch(new RegExp(`ok +server +PostgreSQL ${version}\\.\\d+, primary, asked as postgres`));
    expect(text).toMatch(/ok +backup +the newest, \d{8}T\d{6}F/);
    // Test servers run without fsync, and it is right to say so.
    expect(text).toMatch(/WARNING +durability +fsync is off/);
    expect(text).not.toContain('FAILED');
  });

  it('is one line of a plugin where that is wanted', async () => {
    const { status, stdout, stderr } = await walden.attempt('check', 'main', '--nagios');
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(stdout).toMatch(/^WALDEN WARNING - main: durability: fsync is off[^|\n]* \| arrival=[\d.]+s [^|\n]*\n$/);
    expect(stdout).toMatch(
      / archiver_failures=\d+ wal_waiting=\d+;10 wal_missing=0 backup_age=\d+s;691200 clock=-?[\d.]+s/,
    );
    const unknown = await walden.attempt('check', 'other', '--nagios');
    expect(unknown.status).toBe(PLUGIN.unknown);
    expect(unknown.stdout).toBe('WALDEN UNKNOWN - there is no cluster "other"\n');
    expect((await walden.attempt('check', 'main', '--nagios', '--nonsense')).status).toBe(PLUGIN.unknown);
  });

  it('fails when archive_command does not work, and says what would', async () => {
    const { archiveCommand } = await walden.commandSettings();
    await reload({ archive_command: 'false' });
    const failed = await failures(...SOON);
    expect(failed.map(({ name }) => name)).toEqual(expect.arrayContaining(['settings', 'wal arrives']));
    expect(failed.find(({ name }) => name === 'settings')).toMatchObject({
      message: expect.stringContaining('archive_command is "false"') as string,
      fix: expect.stringContaining('walden setup main') as string,
    });
    const { status, stdout } = await walden.attempt('check', 'main', '--nagios', ...SOON);
    expect(status).toBe(PLUGIN.critical);
    expect(stdout).toMatch(/^WALDEN CRITICAL - main: settings: archive_command is "false"/);
    await reload({ archive_command: archiveCommand });
    await until(async () => (await walden.attempt('check', 'main')).status === 0, {
      what: 'the check to be content again',
      everyMs: 1000,
    });
  });

  it('names what a role may not do', async () => {
    await server.query('create role watcher login');
    const failed = await failures('--config', asRole('watcher'));
    const backupFunction = version >= 15 ? 'pg_backup_start(text, boolean)' : 'pg_start_backup(text, boolean, boolean)';
    expect(failed.flatMap(({ fix }) => fix ?? [])).toEqual(
      expect.arrayContaining(
        ['pg_switch_wal()', backupFunction].map(
          (name) => `as a superuser: grant execute on function ${name} to "watcher"`,
        ),
      ),
    );
    await server.query('grant execute on function pg_switch_wal() to watcher');
    const left = await failures('--config', asRole('watcher'));
    expect(left.map(({ name }) => name)).toEqual(['role', 'role']);
  });

  it('says that the service is down, and still looks at the rest', async () => {
    await walden.stop();
    const { status, stdout } = await walden.attempt('check', 'main');
    expect(status).toBe(CHECK_FAILED);
    expect(stdout).toMatch(/FAILED +service +unable to reach the service/);
    expect(stdout).toMatch(/FAILED +wal arrives +not tried/);
    for (const name of ['server', 'settings', 'room', 'clock']) expect(stdout).toMatch(new RegExp(` ${name} `));
    await walden.start();
  });

  it('looks at the receiver and its slot', async () => {
    await walden.stop();
    await appendConfiguration(walden, ['receive = true']);
    await walden.start();
    await until(async () => (await walden.attempt('check', 'main')).status === 0, {
      what: 'the receiver to stream',
      everyMs: 1000,
    });
    expect(await walden.run('check', 'main')).toMatch(/ok +slot +walden_main is in use/);
    await walden.run('receiver', 'stop', 'main');
    const stopped = await failures(...SOON);
    expect(stopped.map(({ name }) => name)).toEqual(expect.arrayContaining(['receiver', 'slot']));
    await until(async () => (await server.query('select from pg_replication_slots where active')).length === 0, {
      what: 'the slot to be free',
    });
    await server.query("select pg_drop_replication_slot('walden_main')");
    const missing = (await failures(...SOON)).find(({ name }) => name === 'slot');
    expect(missing).toMatchObject({
      message: 'the server has no replication slot walden_main',
      fix: expect.stringContaining('walden receiver start main') as string,
    });
  });
});
