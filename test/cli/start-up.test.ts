import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupDocument } from '../../src/service/api.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { writeConfig } from './config-file.ts';
import { runWalden } from './run-walden.ts';
import { StandInService } from './stand-in-service.ts';

const BACKUP: BackupDocument = {
  repository: 'local',
  cluster: 'main',
  id: '20261122T021500F',
  label: 'nightly',
  state: 'running',
  startedAt: '2026-11-22T02:15:00.000000Z',
  error: null,
  facts: null,
};

let directory: string;
let socket: string;
let config: string;
let service: StandInService;

beforeEach(async () => {
  directory = newDirectory('start-up');
  ({ socket, config } = writeConfig(directory));
  service = new StandInService(() => ({ document: { cluster: 'main', backups: [BACKUP] } }));
  await service.listen(socket);
});
afterEach(async () => {
  await service.close();
  removeDirectory(directory);
});

/**
 * The files of JavaScript that a run loads, by V8's own account (which is what NODE_V8_COVERAGE writes at the end), and
 * the packages they belong to.
 */
async function load(
  words: readonly string[],
): Promise<{ readonly files: number; readonly packages: readonly string[] }> {
  const coverage = join(directory, 'coverage');
  const { status, stderr } = await runWalden(words, { environment: { NODE_V8_COVERAGE: coverage } });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const urls = readdirSync(coverage).flatMap((file) => {
    const account = JSON.parse(readFileSync(join(coverage, file), 'utf8')) as {
      readonly result: { readonly url: string }[];
    };
    return account.result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
  });
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  return { files: urls.length, packages: [...new Set(packages)].sort() };
}

// Each file costs about a millisecond before the first line of output, a package of the service tens of them.
describe('starting the command', () => {
  it('loads nothing but the parser of the command line for --help', async () => {
    const { files, packages } = await load(['--help']);
    expect(packages).toEqual(['commander']);
    expect(files).toBeLessThanOrEqual(20);
  });

  it("loads one command's file for its --help", async () => {
    const { files, packages } = await load(['backup', '--help']);
    expect(packages).toEqual(['commander']);
    expect(files).toBeLessThanOrEqual(28);
  });

  it('loads nothing of the service to ask it', async () => {
    const { files, packages } = await load(['list', 'main', '--socket', socket]);
    expect(packages).toEqual(['commander']);
    expect(files).toBeLessThanOrEqual(26);
  });

  it('loads the reader of the configuration when it has to look there', async () => {
    const { files, packages } = await load(['list', 'main', '--config', config]);
    expect(packages).toEqual(['commander', 'eslint-visitor-keys', 'toml-eslint-parser']);
    expect(files).toBeLessThanOrEqual(40);
  });
});
