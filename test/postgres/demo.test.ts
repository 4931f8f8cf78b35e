import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../support/project.ts';
import { newDirectory } from '../support/sandbox.ts';
import { until } from '../support/until.ts';
import { runProgram } from '../support/walden.ts';

const demo = join(projectDirectory, 'dist/scripts/demo/demo.js');

describe('the demo', () => {
  it('restores the table that was dropped, says what it did, and leaves nothing', async () => {
    const temporary = newDirectory('demo');
    const { status, stdout, stderr } = await runProgram(process.execPath, [demo], {
      env: { ...process.env, TMPDIR: temporary },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('every row as it was');
    expect(stdout).toContain('bin/walden service');
    expect(stdout.split('\n').length).toBeLessThan(40);
    expect(readdirSync(temporary).filter((name) => name.startsWith('wld-'))).toEqual([]);
  });

  it('leaves nothing when it is interrupted', async () => {
    const temporary = newDirectory('demo');
    const child = spawn(process.execPath, [demo], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: temporary },
    });
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
    await until(() => told.includes(' 2  walden service'), { what: 'the service to run' });
    child.kill('SIGINT');
    expect((await once(child, 'exit'))[0]).toBe(130);
    expect(told).toContain('Interrupted');
    await until(() => readdirSync(temporary).length === 0, { what: 'everything to be removed' });
  });
});
