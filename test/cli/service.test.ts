import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runWalden, startWalden } from './run-walden.ts';

let directory: string;
let config: string;
let running: ReturnType<typeof startWalden> | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'walden-cli-'));
  config = join(directory, 'walden.toml');
  mkdirSync(join(directory, 'data'));
  writeFileSync(
    config,
    `[service]
state_directory = "${directory}/state"
socket = "${directory}/walden.sock"
workers = 1
[repository.local]
driver = "local"
path = "${directory}/repository"
[cluster.main]
data_directory = "${directory}/data"
conninfo = "host=/nowhere password=hunter2"
repositories = ["local"]
`,
  );
});
afterEach(async () => {
  running?.process.kill('SIGKILL');
  await running?.outcome;
  running = undefined;
  rmSync(directory, { recursive: true });
});

const walden = (...words: readonly string[]) => runWalden([...words, '--config', config]);

async function startService(): Promise<ReturnType<typeof startWalden>> {
  running = startWalden(['service', '--config', config]);
  expect(await walden('ping', '--wait', '20')).toMatchObject({ status: 0 });
  return running;
}

function logged(stderr: string): readonly Record<string, unknown>[] {
  return stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('walden service', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'answers, logs JSON without secrets, and stops with status 0 on %s',
    async (signal) => {
      const { process, outcome } = await startService();
      expect(statSync(join(directory, 'walden.sock')).mode & 0o777).toBe(0o660);
      expect((await walden('status')).stdout).toContain('main: nothing is known of it yet');
      process.kill(signal);
      const { status, stdout, stderr } = await outcome;
      expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
      expect(logged(stderr).map(({ msg }) => msg)).toEqual(expect.arrayContaining(['ready', 'stopping', 'stopped']));
      expect(stderr).not.toContain('hunter2');
      expect((await walden('ping')).status).toBe(14);
    },
  );

  it('puts right what a killed one left in its state directory', async () => {
    const state = join(directory, 'state');
    mkdirSync(join(state, 'staging'), { recursive: true });
    const rubbish = ['staging/upload.x', 'catalog.sqlite.next', 'catalog.sqlite.old'];
    for (const file of [...rubbish, 'instance']) writeFileSync(join(state, file), '');
    await startService();
    expect(rubbish.filter((file) => existsSync(join(state, file)))).toEqual([]);
    const instance = readFileSync(join(state, 'instance'), 'utf8').trim();
    expect(readdirSync(join(directory, 'repository', '.staging'))).toContain(instance);
    expect(instance).not.toBe('');
  });

  it('leaves a staging directory that leads to another disk where it is, and empties it', async () => {
    const [state, elsewhere] = [join(directory, 'state'), join(directory, 'elsewhere')];
    for (const path of [state, elsewhere]) mkdirSync(path);
    symlinkSync(elsewhere, join(state, 'staging'));
    writeFileSync(join(elsewhere, 'upload.x'), '');
    await startService();
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(lstatSync(join(state, 'staging')).isSymbolicLink()).toBe(true);
  });

  it('is not hurried by a second SIGTERM', async () => {
    const { process, outcome } = await startService();
    process.kill('SIGTERM');
    process.kill('SIGTERM');
    expect((await outcome).status).toBe(0);
  });

  it('prints the settings to paste, with scripts that exist', async () => {
    await startService();
    const { stdout } = await walden('script-config', 'main');
    for (const name of ['push', 'fetch']) {
      const [, script = ''] =
        new RegExp(`^# {3}\\w+_command = '.* %p; \\. (\\S+/walden-${name})'$`, 'm').exec(stdout) ?? [];
      expect(statSync(script).mode & 0o111).not.toBe(0);
    }
    expect(stdout).toContain(`walden_socket='${directory}/walden.sock'\n`);
  });

  it('describes its API', async () => {
    await startService();
    const { stdout } = await walden('openapi');
    const { paths } = JSON.parse(stdout) as { readonly paths: Record<string, unknown> };
    expect(Object.keys(paths)).toContain('/v1/clusters/{cluster}/restores');
  });

  it('shows jobs, and refuses to cancel one that does not exist', async () => {
    await startService();
    expect((await walden('restore', 'main', '--to', join(directory, 'new'))).status).toBe(51);
    const list = JSON.parse((await walden('job', 'list', '--json')).stdout) as {
      readonly jobs: { readonly id: string }[];
    };
    const { stdout } = await walden('job', 'show', list.jobs[0]!.id);
    expect(stdout).toMatch(/^Kind: +restore of main$/m);
    expect(stdout).toMatch(/^State: +failed$/m);
    expect((await walden('job', 'cancel', 'nothing')).status).toBe(5);
  });

  it('refuses a level of logging that does not exist', async () => {
    const words = ['service', '--config', config];
    const { status, stderr } = await runWalden(words, { environment: { WALDEN_LOG_LEVEL: 'chatty' } });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'walden: "chatty" is not a log level\nHINT: set WALDEN_LOG_LEVEL to one of: debug, info, warn, error\n',
    });
  });
});
