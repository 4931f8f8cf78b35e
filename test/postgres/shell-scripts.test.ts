import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow, switchSegment } from '../support/archiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { filesBelow, sha256Of } from '../support/stored.ts';
import { type Outcome, programDirectory, runProgram } from '../support/walden.ts';

const SHELLS = [['dash'], ['busybox', 'sh'], ['bash', '--posix']];
const ABSENT = '0000000100000000000000E0';

let scene: Scene;
let config: string;
let segment: string;

beforeAll(async () => {
  scene = await startScene({ version: 17, initdbArguments: ['--wal-segsize=1'] });
  config = /(\S+) %p$/.exec((await scene.walden.commandSettings()).archiveCommand)![1]!;
  segment = await archiveNow(scene.server);
});
afterAll(() => scene.dispose());

/** The scripts that PostgreSQL calls, in every shell that a database host may have as /bin/sh. */
describe.each(SHELLS)('the scripts in %s', (program, ...words) => {
  const missing = spawnSync(program, [...words, '-c', ':'], { stdio: 'ignore' }).status !== 0;

  function run(script: string, cwd: string, ...parameters: readonly string[]): Promise<Outcome> {
    return runProgram(program, [...words, join(programDirectory, script), config, ...parameters], { cwd });
  }

  it.skipIf(missing)('push a segment, once by the service and then by the spool alone', async () => {
    const { server, walden } = scene;
    await server.query("alter system set archive_command = 'false'");
    await server.query('select pg_reload_conf()');
    const next = await switchSegment(server);
    const path = `pg_wal/${next}`;
    expect(await run('walden-push', server.dataDirectory, path)).toEqual({ status: 0, stdout: '', stderr: '' });
    await walden.kill();
    expect(await run('walden-push', server.dataDirectory, path)).toEqual({ status: 0, stdout: '', stderr: '' });
    const later = await switchSegment(server);
    const refused = await run('walden-push', server.dataDirectory, `pg_wal/${later}`);
    expect(refused.status).toBe(14);
    expect(refused.stderr).toContain('HINT: start it with: walden service');
    await walden.start();
    await server.query('alter system reset archive_command');
    await server.query('select pg_reload_conf()');
  });

  it.skipIf(missing)('fetch what is stored, ahead as well, and tell what is proven to be absent', async () => {
    const { server } = scene;
    const following = await archiveNow(server);
    const node = newDirectory('node');
    mkdirSync(join(node, 'pg_wal'));
    for (const name of [segment, following]) {
      expect(await run('walden-fetch', node, name, `pg_wal/${name}`)).toMatchObject({ status: 0 });
    }
    expect(sha256Of(join(node, 'pg_wal', following))).toBe(sha256Of(join(server.dataDirectory, 'pg_wal', following)));
    expect(await run('walden-fetch', node, ABSENT, 'pg_wal/absent')).toMatchObject({ status: 1 });
    expect(await run('walden-fetch', node, '0000000F.history', 'pg_wal/absent')).toMatchObject({ status: 1 });
    expect(filesBelow(node)).toEqual([`pg_wal/${segment}`, `pg_wal/${following}`].sort());
  });

  it.skipIf(missing)('say what is wrong with a configuration that is not there', async () => {
    const [push, fetch] = await Promise.all(
      ['walden-push', 'walden-fetch'].map((script) =>
        runProgram(
          program,
          [...words, join(programDirectory, script), '/nowhere/main.conf', ABSENT, 'target'].slice(
            0,
            script === 'walden-push' ? -1 : undefined,
          ),
        ),
      ),
    );
    expect(push).toMatchObject({ status: 3 });
    expect(push!.stderr).toContain('/nowhere/main.conf');
    expect(fetch!.status).toBeGreaterThan(125);
  });

  it.skipIf(missing)('say clearly that curl is missing', async () => {
    const tools = newDirectory('no-curl');
    mkdirSync(join(tools, 'pg_wal'));
    writeFileSync(join(tools, 'pg_wal', ABSENT), '');
    const shell = spawnSync('/bin/sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim();
    const outcome = await runProgram(
      shell,
      [...words, join(programDirectory, 'walden-push'), config, `pg_wal/${ABSENT}`],
      {
        cwd: tools,
        env: { PATH: tools },
      },
    );
    expect(outcome.stderr).toContain('curl is not installed');
    expect(outcome.status).toBe(14);
    expect(readdirSync(tools)).toEqual(['pg_wal']);
  });
});
