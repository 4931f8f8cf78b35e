import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SetupDocument } from '../../src/cli/render/setup.ts';
import { archiveNow } from '../support/archiving.ts';
import { appendSettings, startRestored, startServer, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { createWalden, type Outcome, programDirectory, runProgram, type WaldenHarness } from '../support/walden.ts';

const SETTINGS_REFUSED = 13;

describe('walden setup', () => {
  const version = newestVersion;
  let server: TestServer;
  let walden: WaldenHarness;

  beforeAll(async () => {
    server = await startServer({ version, settings: { wal_level: 'minimal', max_wal_senders: 0 } });
    walden = createWalden({ clusters: { main: server } });
    await walden.start();
  });
  afterAll(async () => {
    await server.dispose();
    await walden.kill();
  });

  const setting = (name: string): Promise<string> =>
    server.value('select reset_val from pg_settings where name = $1', [name]);
  const outcomes = async (...words: readonly string[]): Promise<Record<string, string>> => {
    const { settings } = (await walden.json('setup', 'main', ...words)) as SetupDocument;
    return Object.fromEntries(settings.map(({ name, outcome }) => [name, outcome]));
  };
  const restart = async (): Promise<void> => {
    await server.stop();
    await server.start();
  };
  /** The same configuration of another node, or by another role. */
  const otherConfig = ({ dataDirectory, conninfo }: Pick<TestServer, 'dataDirectory' | 'conninfo'>): string => {
    const path = join(newDirectory('config'), 'walden.toml');
    const text = readFileSync(walden.configFile, 'utf8')
      .replace(/^data_directory = .*$/m, `data_directory = "${dataDirectory}"`)
      .replace(/^conninfo = .*$/m, `conninfo = "${conninfo}"`);
    writeFileSync(path, text);
    return path;
  };
  const setupWith = (config: string, ...words: readonly string[]): Promise<Outcome> =>
    runProgram(join(programDirectory, 'walden'), ['setup', 'main', '--config', config, ...words]);

  it('shows what it would change, and changes nothing', async () => {
    const text = await walden.run('setup', 'main', '--role', 'primary', '--dry-run');
    expect(text).toContain(`main: PostgreSQL ${version}, primary`);
    expect(text).toMatch(/change +wal_level: minimal → replica \(restart\)/);
    expect(text).toMatch(/suggested +archive_timeout: 0 → 300, left to you/);
    expect(text).toContain('nothing was changed');
    expect(await setting('archive_command')).toBe('');
    expect(await server.query("select name from pg_settings where pending_restart and name <> 'x'")).toEqual([]);
  });

  it('asks nobody who is not there', async () => {
    const { status, stderr } = await walden.attempt('setup', 'main');
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('--yes') as string });
  });

  it('refuses a role that the server does not have', async () => {
    const { status, stderr } = await walden.attempt('setup', 'main', '--role', 'standby', '--yes');
    expect(status).toBe(SETTINGS_REFUSED);
    expect(stderr).toContain('the server is a primary, not a standby');
  });

  it('leaves a command of somebody else alone unless it is told to replace it', async () => {
    const foreign = "test ! -f /it's/%f && cp %p /it's/%f";
    await appendSettings(server.dataDirectory, { archive_command: foreign });
    await server.query('select pg_reload_conf()');
    const { status, stdout, stderr } = await walden.attempt('setup', 'main', '--yes');
    expect(status).toBe(SETTINGS_REFUSED);
    expect(stdout).toContain(foreign);
    expect(stderr).toContain('--replace');
    expect(await setting('archive_command')).toBe(foreign);
    expect(await outcomes('--dry-run', '--replace')).toMatchObject({ archive_command: 'change' });
  });

  it('sets the rest, reloads, and tells what a restart has still to bring', async () => {
    const { archiveCommand } = await walden.commandSettings();
    const text = await walden.run('setup', 'main', '--yes', '--replace');
    expect(text).toMatch(/changed +archive_command: .* \(reload\)/);
    expect(text).toContain('RESTART NEEDED for wal_level, archive_mode');
    expect(text).toContain(`pg_ctl -D ${server.dataDirectory} restart`);
    expect(await setting('archive_command')).toBe(archiveCommand);
    expect(await outcomes('--yes')).toMatchObject({
      archive_command: 'ok',
      archive_mode: 'restart',
      wal_level: 'restart',
    });
  });

  it('is content after the restart, and WAL arrives', async () => {
    await restart();
    const { settings, restart: waits } = (await walden.json('setup', 'main', '--role', 'primary')) as SetupDocument;
    expect(settings.filter(({ outcome }) => outcome !== 'ok').map(({ name }) => name)).toEqual(['archive_timeout']);
    expect(waits).toBeNull();
    expect(existsSync(segmentObject(walden, await archiveNow(server)))).toBe(true);
  });

  it('names the grants that a role lacks', async () => {
    await server.query('create role limited login');
    await server.query("alter system set archive_command = ''");
    await server.query('select pg_reload_conf()');
    const config = otherConfig({
      dataDirectory: server.dataDirectory,
      conninfo: server.conninfo.replace('user=postgres', 'user=limited'),
    });
    const { status, stderr } = await setupWith(config, '--yes');
    expect(status).toBe(SETTINGS_REFUSED);
    expect(stderr).toContain('the role limited may not change the settings');
    if (version < 15) return;
    const grants = ['alter system on parameter archive_command', 'execute on function pg_reload_conf()'];
    for (const grant of grants) {
      expect(stderr).toContain(`grant ${grant} to "limited"`);
      await server.query(`grant ${grant} to limited`);
    }
    const granted = await setupWith(config, '--yes');
    expect(granted).toMatchObject({ status: 0, stderr: '' });
    expect(await outcomes()).toMatchObject({ archive_command: 'ok' });
  });

  it('has a standby follow, and archive once it is promoted', async () => {
    await walden.run('setup', 'main', '--yes');
    await walden.run('backup', 'main');
    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to, '--standby');
    const standby = await startRestored(to, { version, waitFor: 'accepting' });
    const config = otherConfig(standby);
    await standby.query("alter system set restore_command = 'test -f /nowhere/%f && cp /nowhere/%f %p'");
    await standby.query('select pg_reload_conf()');
    // PostgreSQL 13 takes a restore_command at a start only; the files count all the same.
    expect(await setupWith(config, '--yes')).toMatchObject({
      status: SETTINGS_REFUSED,
      stderr: expect.stringContaining('--replace') as string,
    });
    expect((await setupWith(config, '--yes', '--replace', '--role', 'standby')).status).toBe(0);
    await standby.stop();
    await standby.start('accepting');
    const { restoreCommand } = await walden.commandSettings();
    expect(await standby.value('show restore_command')).toBe(restoreCommand);
    // As a restore leaves a node that is not to archive.
    await standby.query('alter system set archive_mode = off');
    await standby.stop();
    await standby.start('accepting');
    await standby.value('select pg_promote(true, 180)');
    const promoted = await setupWith(config, '--role', 'primary', '--yes');
    expect(promoted.stdout).toMatch(/changed +archive_mode: off → on \(restart\)/);
    await standby.stop();
    await standby.start();
    const segment = await archiveNow(standby);
    expect(segment.startsWith('00000002')).toBe(true);
    expect(existsSync(segmentObject(walden, segment))).toBe(true);
    await standby.dispose();
  });

  it('does not fight what is given on the command line', async () => {
    await server.stop();
    const fixed = await startRestored(server.dataDirectory, { version, settings: { archive_mode: 'off' } });
    const config = otherConfig(fixed);
    const { status, stderr } = await setupWith(config, '--yes');
    expect(status).toBe(SETTINGS_REFUSED);
    expect(stderr).toContain('command line of postgres');
    await fixed.dispose();
  });
});
