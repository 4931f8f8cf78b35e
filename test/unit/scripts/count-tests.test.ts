import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../../support/project.ts';
import { newDirectory } from '../../support/sandbox.ts';

function count(report: unknown): { readonly status: number | null; readonly lastLine: string | undefined } {
  const path = join(newDirectory('report'), 'tests.json');
  if (report !== undefined) writeFileSync(path, JSON.stringify(report));
  const script = join(projectDirectory, 'scripts', 'count-tests.mjs');
  const done = spawnSync(process.execPath, [script, path], { encoding: 'utf8' });
  return { status: done.status, lastLine: done.stdout.trimEnd().split('\n').at(-1) };
}

const passed = { numPassedTests: 3, numFailedTests: 0, numPendingTests: 1, testResults: [] };

describe('count-tests', () => {
  it('ends with what passed and what failed', () => {
    expect(count(passed)).toEqual({ status: 0, lastLine: '3 passed, 0 failed' });
    expect(count({ ...passed, numFailedTests: 2 })).toEqual({ status: 1, lastLine: '3 passed, 2 failed' });
  });

  it('counts a file that could not be loaded as a failure', () => {
    const broken = { name: 'x.test.js', status: 'failed', message: 'no such module', assertionResults: [] };
    expect(count({ ...passed, testResults: [broken] })).toEqual({ status: 1, lastLine: '3 passed, 1 failed' });
  });

  it('fails when no test ran or there is no report', () => {
    expect(count({ ...passed, numPassedTests: 0 })).toEqual({ status: 1, lastLine: '0 passed, 0 failed' });
    expect(count(undefined)).toEqual({ status: 1, lastLine: '0 passed, 0 failed' });
  });
});
