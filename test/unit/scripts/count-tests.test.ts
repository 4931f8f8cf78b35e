import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../../support/project.ts';
import { newDirectory } from '../../support/sandbox.ts';

/** Of reports, of which `undefined` is one that was never written. */
function count(...reports: readonly unknown[]): {
  readonly status: number | null;
  readonly lastLine: string | undefined;
} {
  const directory = newDirectory('report');
  const paths = reports.map((report, index) => {
    const path = join(directory, `${index}.json`);
    if (report !== undefined) writeFileSync(path, JSON.stringify(report));
    return path;
  });
  const script = join(projectDirectory, 'scripts', 'count-tests.mjs');
  const done = spawnSync(process.execPath, [script, ...paths], { encoding: 'utf8' });
  return { status: done.status, lastLine: done.stdout.trimEnd().split('\n').at(-1) };
}

const passed = { numPassedTests: 3, numFailedTests: 0, numPendingTests: 1, testResults: [] };

describe('count-tests', () => {
  it('ends with what passed and what failed', () => {
    expect(count(passed)).toEqual({ status: 0, lastLine: '3 passed, 0 failed' });
    expect(count({ ...passed, numFailedTests: 2 })).toEqual({ status: 1, lastLine: '3 passed, 2 failed' });
  });

  it('adds several reports up', () => {
    expect(count(passed, passed)).toEqual({ status: 0, lastLine: '6 passed, 0 failed' });
    expect(count(passed, { ...passed, numFailedTests: 2 })).toEqual({ status: 1, lastLine: '6 passed, 2 failed' });
  });

  it('counts a file that could not be loaded as a failure', () => {
    const broken = { name: 'x.test.js', status: 'failed', message: 'no such module', assertionResults: [] };
    expect(count({ ...passed, testResults: [broken] })).toEqual({ status: 1, lastLine: '3 passed, 1 failed' });
  });

  it('counts a run without a test, and one without a report, as a failure', () => {
    expect(count({ ...passed, numPassedTests: 0 })).toEqual({ status: 1, lastLine: '0 passed, 1 failed' });
    expect(count(undefined)).toEqual({ status: 1, lastLine: '0 passed, 1 failed' });
    expect(count(passed, undefined)).toEqual({ status: 1, lastLine: '3 passed, 1 failed' });
  });

  it('fails when it is asked about nothing', () => {
    expect(count()).toEqual({ status: 1, lastLine: '0 passed, 0 failed' });
  });
});
