import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { writeConfig } from './config-file.ts';
import { runWalden } from './run-walden.ts';

let directory: string;
let config: string;
let repository: string;

beforeEach(() => {
  directory = newDirectory('cli');
  ({ config } = writeConfig(directory));
  repository = join(directory, 'repository');
});
afterEach(() => {
  removeDirectory(directory);
});

function put(key: string, text: string): void {
  const path = join(repository, key);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

describe('walden repository check', () => {
  it('tries everything, says what the store can, and leaves nothing behind', async () => {
    const { status, stdout, stderr } = await runWalden(['repository', 'check', 'local', '--config', config]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const step of ['list', 'write', 'read', 'write once', 'transfer', 'delete']) {
      expect(stdout).toMatch(new RegExp(`^${step} +ok`, 'm'));
    }
    expect(stdout).toMatch(/up \d+ MB\/s, down \d+ MB\/s/);
    const files = readdirSync(repository, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.map(({ name }) => name)).toEqual(['present']);
  });

  it('gives programs a document', async () => {
    const { status, stdout } = await runWalden(['repository', 'check', 'local', '--config', config, '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      format: 1,
      repository: 'local',
      driver: 'local',
      createOnlyBytes: null,
      canDelete: true,
    });
  });

  it('names what is not allowed, with the exit status of the first that failed', async () => {
    mkdirSync(join(repository, '.staging/command'), { recursive: true });
    writeFileSync(join(repository, '.staging/present'), '');
    chmodSync(repository, 0o500);
    const { status, stdout, stderr } = await runWalden(['repository', 'check', 'local', '--config', config]);
    chmodSync(repository, 0o700);
    expect(stdout).toMatch(/^list +ok/m);
    expect(stdout).toMatch(/^write +STORAGE_DENIED/m);
    expect(stderr).toContain('EACCES');
    expect(stdout).toMatch(/^failed, put: 1 time \(STORAGE_DENIED\)/m);
    expect(status).toBe(21);
  });

  it('says that an append-only repository keeps what it has', async () => {
    writeFileSync(config, readFileSync(config, 'utf8').replace('driver =', 'access = "append-only"\ndriver ='));
    const { status, stdout } = await runWalden(['repository', 'check', 'local', '--config', config]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^write +ok/m);
    expect(stdout).toMatch(/^delete +STORAGE_DENIED/m);
    expect(stdout).toContain('delete: not allowed');
  });

  it('knows the repositories of the configuration only', async () => {
    const { status, stderr } = await runWalden(['repository', 'check', 'lokal', '--config', config]);
    expect(status).toBe(5);
    expect(stderr).toContain('HINT: the configuration has: local');
  });
});

describe('walden repository ls, get and du', () => {
  beforeEach(() => {
    put('walden.json', '{}');
    put('main/cluster.json', '{"a":1}');
    put('main/wal/00000001/00000000/000000010000000000000001.zst', 'x'.repeat(2048));
    put('main/base/20261122T021500F/backup.json', 'y'.repeat(100));
    put('main/base/20261122T021500F/data/00001.tar.zst', 'y'.repeat(924));
  });

  it('list what begins with a prefix', async () => {
    const { status, stdout } = await runWalden(['repository', 'ls', 'local', 'main/base/', '--config', config]);
    expect(status).toBe(0);
    expect(stdout.split('\n').map((line) => line.trim())).toEqual([
      '100  main/base/20261122T021500F/backup.json',
      '924  main/base/20261122T021500F/data/00001.tar.zst',
      '',
    ]);
  });

  it('copy an object out, and never over a file', async () => {
    const words = ['repository', 'get', 'local', 'main/cluster.json', '--config', config];
    expect(await runWalden(words)).toEqual({ status: 0, stdout: '{"a":1}', stderr: '' });
    expect((await runWalden([...words, 'copy.json'], { cwd: directory })).status).toBe(0);
    expect(readFileSync(join(directory, 'copy.json'), 'utf8')).toBe('{"a":1}');
    const again = await runWalden([...words, 'copy.json'], { cwd: directory });
    expect(again.status).toBe(52);
    expect((await runWalden(['repository', 'get', 'local', 'none', '--config', config])).status).toBe(22);
    expect((await runWalden(['repository', 'get', 'local', '../walden.toml', '--config', config])).status).toBe(31);
  });

  it('say what takes how much', async () => {
    const { stdout } = await runWalden(['repository', 'du', 'local', '--config', config]);
    expect(stdout).toMatch(/^main +WAL +1 +2 KiB$/m);
    expect(stdout).toMatch(/^main +backup 20261122T021500F +2 +1 KiB$/m);
  });
});
