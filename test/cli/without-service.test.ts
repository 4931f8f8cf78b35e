import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootId } from '../../src/platform/boot.ts';
import { COMMANDS, type CommandEntry } from '../../src/cli/commands.ts';
import { runWalden, WALDEN } from './run-walden.ts';

let directory: string;
let config: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'walden-cli-'));
  config = join(directory, 'walden.toml');
  mkdirSync(join(directory, 'data/global'), { recursive: true });
  writeFileSync(join(directory, 'data/PG_VERSION'), '15\n');
  writeFileSync(join(directory, 'data/global/pg_control'), '');
  writeFileSync(
    config,
    `[service]
state_directory = "${directory}/state"
socket = "${directory}/nobody.sock"
[repository.local]
driver = "local"
path = "${directory}/repository"
[cluster.main]
data_directory = "${directory}/data"
conninfo = "host=/tmp password=hunter2"
repositories = ["local"]
wal_fetch_timeout = 1
`,
  );
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function leaves(entries: readonly CommandEntry[], prefix: readonly string[] = []): string[][] {
  return entries.flatMap((entry) =>
    'commands' in entry ? leaves(entry.commands, [...prefix, entry.name]) : [[...prefix, entry.name]],
  );
}

describe('help', () => {
  it('lists every command', async () => {
    const { status, stdout, stderr } = await runWalden(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { name, summary } of COMMANDS)
      expect(stdout).toMatch(new RegExp(`^  ${name} +${summary.slice(0, 20)}`, 'm'));
  });

  it.each(leaves(COMMANDS).map((words) => [words.join(' '), words] as const))(
    'of %s ends with an example',
    async (_, words) => {
      const { status, stdout } = await runWalden([...words, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(/\nExamples?:\n( {2}.*walden .*\n)+$/);
    },
  );

  it('is the same by walden help COMMAND', async () => {
    const [one, other] = await Promise.all([runWalden(['help', 'wal', 'push']), runWalden(['wal', 'push', '--help'])]);
    expect(one).toEqual(other);
  });

  it('works through a symlink', () => {
    const link = join(directory, 'linked');
    symlinkSync(WALDEN, link);
    expect(execFileSync(link, ['--version'], { encoding: 'utf8' })).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage', () => {
  it.each([
    ['an unknown command', ['bakcup'], "unknown command 'bakcup' (Did you mean backup?)"],
    ['an unknown option', ['status', '--jsno'], "unknown option '--jsno' (Did you mean --json?)"],
    ['a missing argument', ['list'], "missing required argument 'cluster'"],
    ['no command', ['wal'], 'a command is missing'],
    ['a value out of range', ['backup', 'main', '--workers', '0'], 'It must be a whole number from 1 to 256.'],
    ['two targets', ['plan', 'main', '--time', 'x', '--xid', '7'], '--time and --xid cannot stand together'],
    ['a restore without a place', ['restore', 'main'], "required option '--to <directory>' not specified"],
    [
      'a repository path beside a socket',
      ['list', 'main', '--repository-path', '/r', '--socket', '/s'],
      'cannot stand beside',
    ],
    ['a repository beside a socket', ['list', 'main', '--repository', 'r', '--socket', '/s'], 'cannot stand beside'],
    ['two repositories', ['list', 'main', '--repository', 'r', '--repository-path', '/r'], 'cannot stand beside'],
    ['a key of the configuration', ['list', 'main', '--repository', 'r', '--key-file', '/k'], '--key-file needs'],
    ['a delay without a unit', ['clone', 'main', '--to', '/x', '--delay', '5'], 'It must be a time like 90s'],
    ['a delay of a month', ['clone', 'main', '--to', '/x', '--delay', '30d'], 'of 24 days at the most'],
    [
      'programs for no start',
      ['clone', 'main', '--to', '/x', '--pg-bin', '/b'],
      '--pg-bin has no meaning without --start',
    ],
    ['no primary to follow', ['cluster', 'follow', 'main'], 'either --primary or --configured is to be given'],
    [
      'two primaries to follow',
      ['cluster', 'follow', 'main', '--configured', '--primary', 'host=x'],
      'either --primary or --configured is to be given',
    ],
    ['a moment of no repository', ['list', 'main', '--as-of', '1 hour ago'], '--as-of needs --repository'],
  ])('of the kind: %s ends with status 2 and a hint', async (_, words, message) => {
    const { status, stdout, stderr } = await runWalden(words);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(`walden: `);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^HINT: ./m);
  });
});

describe('the configuration', () => {
  it('that is missing ends with status 3 and says how to name another', async () => {
    const { status, stderr } = await runWalden(['status', '--config', '/nonexistent.toml']);
    expect(status).toBe(3);
    expect(stderr).toContain('walden: unable to read the configuration /nonexistent.toml: it does not exist');
    expect(stderr).toContain('HINT: name it with --config FILE or WALDEN_CONFIG');
  });

  it('is found by the environment, and before or after the command by the flag', async () => {
    const runs = await Promise.all([
      runWalden(['config', 'check'], { environment: { WALDEN_CONFIG: config } }),
      runWalden(['config', 'check', '--config', config]),
      runWalden(['--config', config, 'config', 'check']),
    ]);
    for (const { status, stdout } of runs) {
      expect(status).toBe(0);
      expect(stdout).toBe(`${config} is valid: 1 repository (local), 1 cluster (main)\n`);
    }
  });

  it('with errors tells all of them, and with --json as a document too', async () => {
    const broken = join(directory, 'broken.toml');
    writeFileSync(broken, '[service]\nsokket = "/x"\n');
    const { status, stdout, stderr } = await runWalden(['config', 'check', '--json', '--config', broken]);
    expect(status).toBe(3);
    expect(stderr).toContain(`${broken}:2: service.sokket: unknown key (did you mean "socket"?)`);
    const document = JSON.parse(stdout) as {
      format: number;
      error: { code: string; details: { problems: unknown[] } };
    };
    expect(document).toMatchObject({ format: 1, error: { code: 'CONFIG_INVALID' } });
    expect(document.error.details.problems.length).toBeGreaterThan(2);
  });
});

describe('a repository of the configuration without a service', () => {
  it.each([
    ['list', ['list', 'main']],
    ['plan', ['plan', 'main']],
    ['repository ls', ['repository', 'ls', 'local']],
  ])('cannot be read as of a moment where its store keeps no versions (%s)', async (_, words) => {
    const repository = words[0] === 'repository' ? [] : ['--repository', 'local'];
    const run = await runWalden([...words, ...repository, '--config', config, '--as-of', '1 hour ago']);
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain('a repository on local cannot be read as it was at a moment');
  });

  it('must be one of the configuration, and the moment one that can be understood', async () => {
    const unknown = await runWalden(['list', 'main', '--repository', 'far', '--config', config]);
    expect(unknown.status).toBe(5);
    expect(unknown.stderr).toContain('HINT: the configuration has: local');
    const words = ['list', 'main', '--repository', 'local', '--config', config, '--as-of', 'soon'];
    expect((await runWalden(words)).stderr).toContain('"soon" is not a moment');
  });
});

describe('without a service', () => {
  it.each([
    ['ping', ['ping']],
    ['status', ['status']],
    ['backup', ['backup', 'main']],
    ['wal push', ['wal', 'push', 'main', 'pg_wal/000000010000000000000001']],
  ])('%s ends with status 14 and says how to start it', async (_, words) => {
    mkdirSync(join(directory, 'data/pg_wal'), { recursive: true });
    const { status, stderr } = await runWalden([...words, '--config', config], { cwd: join(directory, 'data') });
    expect(status).toBe(14);
    expect(stderr).toBe(
      `walden: unable to reach the service at ${directory}/nobody.sock: there is no such socket\n` +
        'HINT: start it with: walden service\n',
    );
  });

  it('wal fetch stops recovery with a status above 125 rather than say that a file is absent', async () => {
    const words = ['wal', 'fetch', 'main', '000000010000000000000001', 'pg_wal/RECOVERYXLOG', '--config', config];
    expect(await runWalden(words, { cwd: directory })).toMatchObject({ status: 200, stdout: '' });
  });

  it('wal fetch says 1 on a standby, and loudly that it proves nothing', async () => {
    const standby = join(directory, 'standby');
    mkdirSync(standby);
    writeFileSync(join(standby, 'standby.signal'), '');
    const words = ['wal', 'fetch', 'main', '000000010000000000000001', 'pg_wal/RECOVERYXLOG', '--config', config];
    const { status, stderr } = await runWalden(words, { cwd: standby });
    expect(status).toBe(1);
    expect(stderr).toContain('NOT a proof that the file is absent');
  });

  it.each([
    ['wrong usage', ['wal', 'fetch', 'main']],
    ['an unknown option', ['wal', 'fetch', 'main', 'x', 'y', '--nope']],
    ['a name that is no WAL file', ['wal', 'fetch', 'main', '../../x', 'y']],
    ['a missing configuration', ['wal', 'fetch', 'main', '000000010000000000000001', 'y', '--config', '/nonexistent']],
  ])('wal fetch with %s does not end in a status that means absent', async (_, words) => {
    expect((await runWalden(words, { cwd: directory })).status).toBe(200);
  });

  it('wal fetch moves a prefetched file without asking anybody', async () => {
    const name = '000000010000000000000003';
    mkdirSync(join(directory, 'state/spool/main/fetch'), { recursive: true });
    writeFileSync(join(directory, 'state/spool/main/fetch', name), 'wal');
    const identity = join(directory, 'state/spool/main/identity');
    const words = ['wal', 'fetch', 'main', name, 'RECOVERYXLOG', '--config', config, '--timeout', '1'];
    writeFileSync(identity, '7300000000000000001 of-another-boot\n');
    expect((await runWalden(words, { cwd: directory })).status).toBe(200);
    writeFileSync(identity, `7300000000000000001 ${await bootId()}\n`);
    expect(await runWalden(words, { cwd: directory })).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
