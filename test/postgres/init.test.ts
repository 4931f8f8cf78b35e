import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PingDocument, StatusDocument } from '../../src/service/api.ts';
import { signalProcess } from '../support/processes.ts';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import { newDirectory, watchProcess } from '../support/sandbox.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { type Outcome, programDirectory, runProgram } from '../support/walden.ts';

describe('walden init', () => {
  let server: TestServer;
  let directory: string;
  let configFile: string;

  beforeAll(async () => {
    server = await startServer({ version: newestVersion });
    directory = newDirectory('init');
    configFile = join(directory, 'walden.toml');
  });
  afterAll(async () => {
    const { status, stdout } = await walden('ping', '--json');
    if (status === 0) signalProcess((JSON.parse(stdout) as PingDocument).pid, 'SIGKILL');
    await server.dispose();
  });

  const walden = (...words: readonly string[]): Promise<Outcome> =>
    runProgram(join(programDirectory, 'walden'), words, {
      cwd: directory,
      env: { ...process.env, WALDEN_CONFIG: configFile, PGUSER: 'postgres' },
    });
  const init = (...words: readonly string[]): Promise<Outcome> =>
    walden('init', '--data-directory', server.dataDirectory, ...words);

  it('refuses what it cannot do safely, and leaves nothing behind', async () => {
    const inside = await init('--yes', '--repository', join(server.dataDirectory, 'backups'));
    expect(inside).toMatchObject({ status: 3 });
    const taken = join(newDirectory('taken'), 'somewhere');
    mkdirSync(taken);
    writeFileSync(join(taken, 'letter'), 'mine');
    expect(await init('--yes', '--repository', taken)).toMatchObject({
      status: 52,
      stderr: expect.stringContaining('is not empty') as string,
    });
    const missing = await walden('init', '--yes', '--data-directory', join(directory, 'nowhere'));
    expect(missing).toMatchObject({ status: 5 });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('shows every file and setting with --dry-run, and changes nothing', async () => {
    const { status, stdout } = await init('--dry-run');
    expect(status).toBe(0);
    expect(stdout).toContain(`data_directory = "${server.dataDirectory}"`);
    expect(stdout).toMatch(/change +archive_mode: off → on \(restart\)/);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('stops before archiving while nobody runs the service', async () => {
    const { status, stderr } = await init('--yes');
    expect(status).toBe(14);
    expect(stderr).toContain(`service --config ${configFile}`);
    expect(await server.value('show archive_mode')).toBe('off');
    expect(readFileSync(configFile, 'utf8')).toContain('[cluster.main]');
  });

  it('goes on there, up to the restart that PostgreSQL needs', async () => {
    const { status, stdout, stderr } = await init('--yes', '--start');
    const { stdout: ping } = await walden('ping', '--json');
    watchProcess((JSON.parse(ping) as PingDocument).pid);
    expect({ status, stderr }).toMatchObject({
      status: 13,
      stderr: expect.stringContaining(`pg_ctl -D ${server.dataDirectory} restart`) as string,
    });
    expect(stdout).toContain('done: started the service');
    expect(existsSync(join(directory, 'state/spool/main/script.conf'))).toBe(true);
  });

  it('takes the first backup after it, and then there is a window', async () => {
    await server.stop();
    await server.start();
    const { status, stdout } = await init('--yes');
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('Recoverable on timeline 1') as string,
    });
    const before = JSON.parse((await walden('status', '--json')).stdout) as StatusDocument;
    expect(before.clusters[0]?.repositories[0]?.windows).toHaveLength(1);
    expect((await walden('check', 'main')).status).toBe(0);
    // Again, with nothing left to do.
    expect((await init('--yes')).status).toBe(0);
    const after = JSON.parse((await walden('status', '--json')).stdout) as StatusDocument;
    expect(after.clusters[0]?.repositories[0]?.lastBackup?.id).toBe(
      before.clusters[0]?.repositories[0]?.lastBackup?.id,
    );
  });

  it('refuses a configuration that is of something else', async () => {
    const other = await init('--yes', '--name', 'other');
    expect(other).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('exists already, and calls the cluster') as string,
    });
    expect((await init('--yes', '--repository', join(directory, 'elsewhere'))).status).toBe(2);
  });
});
