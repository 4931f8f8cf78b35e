import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { archiveCommand, restoreCommand } from '../../../src/config/command-line.ts';
import { projectDirectory, projectFiles } from '../../support/project.ts';
import { newDirectory } from '../../support/sandbox.ts';

const POSIX_SCRIPTS = ['bin/walden-push', 'bin/walden-fetch'];

/** The shells of this machine that the scripts have to please, as the words before `-n FILE`. */
const SHELLS = [['dash'], ['busybox', 'sh'], ['bash', '--posix'], ['sh']].filter(
  ([program, ...rest]) => spawnSync(program!, [...rest, '-c', ':'], { stdio: 'ignore' }).status === 0,
);

describe('the scripts of PostgreSQL', () => {
  it.each(POSIX_SCRIPTS.flatMap((script) => SHELLS.map((shell) => ({ script, shell: shell.join(' '), words: shell }))))(
    '$script is understood by $shell',
    ({ script, words: [program, ...rest] }) => {
      const done = spawnSync(program!, [...rest, '-n', join(projectDirectory, script)], { encoding: 'utf8' });
      expect(done.stderr).toBe('');
      expect(done.status).toBe(0);
    },
  );

  describe.each(SHELLS.map((words) => ({ shell: words.join(' '), words })))(
    'read by the $shell of a command setting',
    ({ words: [program, ...rest] }) => {
      const CONFIG = '/nonexistent/script.conf';
      function run(command: string): { readonly status: number; readonly stderr: string } {
        const text = command.replace('%f', 'NAME').replace('%p', 'pg_wal/000000010000000000000001');
        const { status, stderr } = spawnSync(program!, [...rest, '-c', text], { encoding: 'utf8' });
        return { status: status ?? Number.NaN, stderr };
      }

      it('say what is wrong; the archiver goes on, recovery stops', () => {
        const push = run(archiveCommand(CONFIG));
        expect(push.stderr).toContain(`unable to read ${CONFIG}`);
        expect(push.status).toBe(3);
        const fetch = run(restoreCommand(CONFIG));
        expect(fetch.stderr).toContain(`unable to read ${CONFIG}`);
        expect(fetch.status).toBe(200);
      });

      it('do no harm when they are missing', () => {
        const push = run(archiveCommand(CONFIG).replaceAll('walden-push', 'walden-moved'));
        expect(push.stderr).toContain('walden-moved');
        expect(push.status).toBeGreaterThan(0);
        expect(push.status).toBeLessThanOrEqual(125);
        expect(run(restoreCommand(CONFIG).replaceAll('walden-fetch', 'walden-moved')).status).toBe(200);
      });

      it('are never taken for an answer when they cannot be read', () => {
        const directory = newDirectory('script');
        writeFileSync(join(directory, 'torn'), 'if [ x');
        const script = join(projectDirectory, 'bin/walden-fetch');
        for (const path of [directory, join(directory, 'torn')]) {
          expect(run(restoreCommand(CONFIG).replace(script, path)).status, path).toBe(200);
        }
        expect(run(`ulimit -n 3; ${restoreCommand(CONFIG)}`).status, 'no descriptor is left').toBe(200);
      });
    },
  );

  it('called wrongly, let the archiver go on and end a recovery', () => {
    const push = spawnSync(join(projectDirectory, 'bin/walden-push'), [], { encoding: 'utf8' });
    expect(push.stderr).toContain('usage');
    expect(push.status).toBeGreaterThan(0);
    expect(push.status).toBeLessThanOrEqual(125);
    const fetch = spawnSync(join(projectDirectory, 'bin/walden-fetch'), [], { encoding: 'utf8' });
    expect(fetch.stderr).toContain('usage');
    expect(fetch.status).toBeGreaterThan(125);
  });
});

describe('the other scripts', () => {
  it('.ci/run is understood by bash', () => {
    execFileSync('bash', ['-n', join(projectDirectory, '.ci/run')]);
  });

  it.each(projectFiles().filter((file) => file.endsWith('.mjs')))('%s is understood by Node', (file) => {
    execFileSync(process.execPath, ['--check', join(projectDirectory, file)]);
  });
});
