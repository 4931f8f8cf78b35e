import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../../support/project.ts';

const script = join(projectDirectory, 'scripts', 'as-user.mjs');

// The tests themselves run as a user who is not root; what happens for root is seen by every `npm test` of root.
describe('as-user', () => {
  it('passes streams and exit status on', () => {
    const done = spawnSync(process.execPath, [script, 'sh', '-c', 'echo out; echo err >&2; exit 7'], {
      encoding: 'utf8',
    });
    expect([done.status, done.stdout, done.stderr]).toEqual([7, 'out\n', 'err\n']);
  });

  it('passes a signal on and says by which the command ended', async () => {
    const child = spawn(process.execPath, [script, 'sh', '-c', 'echo ready; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
  });

  it('refuses to run nothing', () => {
    expect(spawnSync(process.execPath, [script], { encoding: 'utf8' })).toMatchObject({ status: 2 });
  });
});
