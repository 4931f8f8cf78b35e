import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { writeConfig } from './config-file.ts';
import { runWalden } from './run-walden.ts';

const RECOVERY = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

let directory: string;
let config: string;
let keyDirectory: string;

beforeEach(() => {
  directory = newDirectory('cli');
  ({ config } = writeConfig(directory));
  keyDirectory = join(directory, 'keys');
  configure(`key_directory = "${keyDirectory}"\nrecipients = ["${RECOVERY}"]`);
});
afterEach(() => {
  removeDirectory(directory);
});

/** Adds lines to the repository's section. */
function configure(lines: string): void {
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace('driver = "local"\n', `driver = "local"\n${lines}\n`));
}

async function walden(...words: readonly string[]): Promise<Awaited<ReturnType<typeof runWalden>>> {
  return await runWalden([...words, '--config', config]);
}

function keyFiles(): readonly string[] {
  return readdirSync(keyDirectory).filter((name) => name.endsWith('.key'));
}

describe('walden key new', () => {
  it('makes a key that only this user can read, and says to keep a copy, but not its secret', async () => {
    const { status, stdout, stderr } = await walden('key', 'new', 'local');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [name] = keyFiles();
    expect(name).toMatch(/^\d{8}T\d{6}Z\.key$/);
    expect(statSync(keyDirectory).mode & 0o777).toBe(0o700);
    expect(statSync(join(keyDirectory, name!)).mode & 0o777).toBe(0o600);
    const text = readFileSync(join(keyDirectory, name!), 'utf8');
    const [, recipient] = /^# created: \S+Z\n# public key: (age1\w+)\nAGE-SECRET-KEY-1\w+\n$/.exec(text) ?? [];
    expect(stdout).toContain(recipient);
    expect(stdout).toMatch(/KEEP A COPY OF .*\.key ELSEWHERE/);
    expect(stdout).not.toContain('SECRET');
    expect(readdirSync(keyDirectory)).toEqual([name]);
  });

  it('makes no second first key', async () => {
    await walden('key', 'new', 'local');
    const { status, stderr } = await walden('key', 'new', 'local');
    expect(status).toBe(52);
    expect(stderr).toContain('walden key rotate local');
    expect(keyFiles()).toHaveLength(1);
  });

  it('says what to configure where there is no key_directory', async () => {
    ({ config } = writeConfig(directory));
    const { status, stderr } = await walden('key', 'new', 'local');
    expect(status).toBe(3);
    expect(stderr).toContain('key_directory');
  });
});

describe('walden key list', () => {
  it('shows every key, which one is current, and who else can read; no secret', async () => {
    await walden('key', 'new', 'local');
    await walden('key', 'rotate', 'local');
    const { stdout } = await walden('key', 'list', 'local', '--json');
    expect(stdout).not.toContain('SECRET');
    const { keys, recipients } = JSON.parse(stdout) as {
      readonly keys: readonly { readonly current: boolean; readonly name: string }[];
      readonly recipients: readonly string[];
    };
    expect(keys.map(({ current }) => current)).toEqual([true, false]);
    expect(keys[0]!.name > keys[1]!.name).toBe(true);
    expect(recipients).toEqual([RECOVERY]);
    const table = (await walden('key', 'list', 'local')).stdout;
    expect(table).toMatch(/new and old objects/);
    expect(table).toContain(RECOVERY);
  });

  it('refuses keys that others can read, and a directory that others can change', async () => {
    await walden('key', 'new', 'local');
    const path = join(keyDirectory, keyFiles()[0]!);
    chmodSync(path, 0o640);
    const readable = await walden('key', 'list', 'local');
    expect(readable.status).toBe(35);
    expect(readable.stderr).toContain(`run: chmod 600 ${path}`);
    chmodSync(path, 0o400);
    expect((await walden('key', 'list', 'local')).status).toBe(0);
    chmodSync(keyDirectory, 0o777);
    const changeable = await walden('key', 'list', 'local');
    expect(changeable.status).toBe(35);
    expect(changeable.stderr).toContain('others may change');
  });

  it('refuses what is no key, and does not repeat what is in it', async () => {
    mkdirSync(keyDirectory, { mode: 0o700 });
    writeFileSync(join(keyDirectory, 'a.key'), 'AGE-SECRET-KEY-1NONSENSE\n', { mode: 0o600 });
    const { status, stderr } = await walden('key', 'list', 'local');
    expect(status).toBe(35);
    expect(stderr).toContain('a.key');
    expect(stderr).not.toContain('NONSENSE');
  });
});

describe('walden key rotate', () => {
  it('needs a key to follow', async () => {
    expect((await walden('key', 'rotate', 'local')).status).toBe(34);
  });

  it('with --rewrap is refused before there is a new key, where nothing may be replaced', async () => {
    await walden('key', 'new', 'local');
    configure('access = "append-only"');
    const { status, stderr } = await walden('key', 'rotate', 'local', '--rewrap');
    expect(status).toBe(21);
    expect(stderr).toContain('append-only');
    expect(keyFiles()).toHaveLength(1);
  });

  it('with --rewrap goes on where an earlier one ended, without another key', async () => {
    await walden('key', 'new', 'local');
    writeFileSync(join(keyDirectory, 'rewrap.unfinished'), `${keyFiles()[0]!}\n`);
    const { status, stdout, stderr } = await walden('key', 'rotate', 'local', '--rewrap');
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `0 objects rewrapped for ${keyFiles()[0]!}, 0 had its header already\n`,
    });
    expect(stderr).toContain('no new key is made');
    expect(readdirSync(keyDirectory)).toHaveLength(1);
  });
});

describe('a configuration with keys', () => {
  it('is refused where nobody could read back, or keys and objects would lie together', async () => {
    ({ config } = writeConfig(directory));
    configure(`key_directory = "${directory}/repository/keys"\nrecipients = ["age1nonsense"]`);
    const both = await walden('config', 'check');
    expect(both.stderr).toContain('lies inside repository local');
    expect(both.stderr).toContain('"age1nonsense" is not what age-keygen prints');
    ({ config } = writeConfig(directory));
    configure(`recipients = ["${RECOVERY}"]`);
    expect((await walden('config', 'check')).stderr).toContain('needs a key_directory too');
  });

  it('is refused for a repository that was begun without', async () => {
    const marker = join(directory, 'repository/walden.json');
    mkdirSync(dirname(marker), { recursive: true });
    writeFileSync(marker, '{}');
    await walden('key', 'new', 'local');
    const { status, stderr } = await walden('service');
    expect(status).toBe(3);
    expect(stderr).toMatch(/repository local is not encrypted, but has a key_directory/);
    expect(stderr).toContain('walden repository sync');
  });
});
