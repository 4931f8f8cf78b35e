import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { archiveCommand } from '../../../src/config/command-line.ts';
import { projectDirectory, projectFiles } from '../../support/project.ts';

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

  it.each(SHELLS.map((words) => ({ shell: words.join(' '), words })))(
    'read by the $shell of archive_command, say what is wrong and let the archiver go on',
    ({ words: [program, ...rest] }) => {
      const run = (command: string): { readonly status: number | null; readonly stderr: string } =>
        spawnSync(program!, [...rest, '-c', command.replace('%p', 'pg_wal/000000010000000000000001')], {
          encoding: 'utf8',
        });
      const unconfigured = run(archiveCommand('/nonexistent/script.conf'));
      expect(unconfigured.stderr).toContain('unable to read /nonexistent/script.conf');
      expect(unconfigured.status).toBe(3);
      const missing = run(archiveCommand('/nonexistent/script.conf').replace('walden-push', 'walden-moved'));
      expect(missing.stderr).toContain('walden-moved');
      expect(missing.status).toBeGreaterThan(0);
      expect(missing.status).toBeLessThanOrEqual(125);
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
