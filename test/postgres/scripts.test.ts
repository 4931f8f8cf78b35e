import { copyFileSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentServerRun } from '../../src/postgres/server-run.ts';
import { archiveNow } from '../support/archiving.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { newDirectory } from '../support/sandbox.ts';
import { sha256Of } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { programDirectory, runProgram, type Outcome } from '../support/walden.ts';

const SHELLS = [
  { shell: 'dash', program: '/usr/bin/dash', words: [] },
  { shell: 'busybox sh', program: '/usr/bin/busybox', words: ['sh'] },
].filter(({ program }) => existsSync(program));

/** A path that leads to no program: what still works uses the shell alone. */
const NOTHING = { PATH: '/nonexistent' };

describe.each(SHELLS)('the scripts of PostgreSQL, run by $shell', ({ program, words }) => {
  let scene: Scene;
  let config: string;
  let segment: string;

  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, walden: { clusterSettings: ['wal_fetch_timeout = 2'] } });
    config = join(newDirectory('conf'), 'script.conf');
    writeFileSync(config, await scene.walden.run('script-config', 'main'));
    segment = await archiveNow(scene.server);
  });
  afterAll(() => scene.dispose());

  async function script(name: string, args: readonly string[], cwd: string, env?: NodeJS.ProcessEnv): Promise<Outcome> {
    return await runProgram(program, [...words, join(programDirectory, name), config, ...args], {
      cwd,
      ...(env === undefined ? {} : { env }),
    });
  }
  const push = (file: string, cwd = scene.server.dataDirectory, env?: NodeJS.ProcessEnv): Promise<Outcome> =>
    script('walden-push', [`pg_wal/${file}`], cwd, env);
  const fetch = (file: string, cwd: string, env?: NodeJS.ProcessEnv): Promise<Outcome> =>
    script('walden-fetch', [file, 'here'], cwd, env);

  /** What the service does when a segment is durable. */
  async function acknowledge(file: string): Promise<void> {
    const { walden_spool: spool } = variables(readFileSync(config, 'utf8'));
    const run = await currentServerRun(scene.server.dataDirectory);
    writeFileSync(join(spool!, 'push', `${file}.ok`), `${run!}\n`);
  }

  it('take an acknowledgement without any other program', async () => {
    await acknowledge(segment);
    expect(await push(segment, undefined, NOTHING)).toMatchObject({ status: 0, stderr: '' });
  });

  it('do not believe an acknowledgement that is older than the file', async () => {
    await acknowledge(segment);
    const later = Date.now() / 1000 + 100;
    utimesSync(join(scene.server.dataDirectory, 'pg_wal', segment), later, later);
    const outcome = await push(segment, undefined, NOTHING);
    expect(outcome.status).toBe(14);
    expect(outcome.stderr).toContain('curl is not installed');
  });

  it('do not believe an acknowledgement for a file of another directory', async () => {
    await acknowledge(segment);
    const copy = newDirectory('copy');
    mkdirSync(join(copy, 'pg_wal'));
    copyFileSync(join(scene.server.dataDirectory, 'pg_wal', segment), join(copy, 'pg_wal', segment));
    expect((await push(segment, copy, NOTHING)).status).toBe(14);
    expect((await push(segment, copy)).status).toBe(0);
    writeFileSync(join(copy, 'pg_wal', segment), Buffer.alloc(16 * 1024 * 1024));
    expect((await push(segment, copy)).status).toBe(40);
  });

  it('bring a segment back as it was', async () => {
    const directory = newDirectory('fetch');
    expect(await fetch(segment, directory)).toMatchObject({ status: 0, stderr: '' });
    expect(sha256Of(join(directory, 'here'))).toBe(sha256Of(join(scene.server.dataDirectory, 'pg_wal', segment)));
  });

  it('say 1, without a word, for what is proven absent', async () => {
    expect(await fetch('00000009.history', newDirectory('fetch'))).toMatchObject({ status: 1, stderr: '' });
  });

  it('refuse what is no name of a WAL file', async () => {
    expect((await script('walden-push', ['../../x y'], scene.server.dataDirectory)).status).toBe(31);
    expect((await script('walden-fetch', ['../../x', 'here'], newDirectory('fetch'))).status).toBe(200);
  });

  it('stop recovery rather than end it while the service is down, and say so', async () => {
    await scene.walden.stop();
    const directory = newDirectory('fetch');
    const outcome = await fetch(segment, directory);
    expect(outcome.status).toBe(200);
    expect(outcome.stderr).toContain('unable to reach the service');
    expect(existsSync(join(directory, 'here'))).toBe(false);
    expect((await push(segment)).status).toBe(14);
  });

  it('take what was prefetched in this boot of the host, and nothing that an earlier one left', async () => {
    const { walden_spool: spool = '' } = variables(readFileSync(config, 'utf8'));
    const prefetched = join(spool, 'fetch', segment);
    const identity = readFileSync(join(spool, 'identity'), 'utf8');
    writeFileSync(prefetched, 'as if by the service');
    const directory = newDirectory('fetch');
    writeFileSync(join(spool, 'identity'), identity.replace(/ .*/, ' 00000000-0000-4000-8000-000000000000'));
    expect((await fetch(segment, directory)).status).toBe(200);
    expect(existsSync(join(directory, 'here'))).toBe(false);
    writeFileSync(join(spool, 'identity'), identity);
    expect(await fetch(segment, directory)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(directory, 'here'), 'utf8')).toBe('as if by the service');
  });

  it('let a standby ask again, loudly', async () => {
    const directory = newDirectory('fetch');
    writeFileSync(join(directory, 'standby.signal'), '');
    const outcome = await fetch(segment, directory);
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toContain('NOT a proof');
  });

  it('name curl where it is missing', async () => {
    const outcome = await fetch(segment, newDirectory('fetch'), NOTHING);
    expect(outcome.status).toBe(200);
    expect(outcome.stderr).toContain('curl is not installed');
  });
});

function variables(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...text.matchAll(/^(walden_\w+)='(.*)'$/gm)].map((match) => [match[1]!, match[2]!]));
}
