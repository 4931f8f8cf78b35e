import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configPath, loadConfig, parseConfig } from '../../../src/config/load-config.ts';
import { isWaldenError, type WaldenError } from '../../../src/errors.ts';

const CONNINFO = 'host=/var/run/postgresql user=postgres';
const SMALLEST = `[service]
state_directory = "/var/lib/walden"
socket = "/run/walden/walden.sock"

[repository.local]
driver = "local"
path = "/var/lib/walden/repository"

[cluster.main]
data_directory = "/var/lib/postgresql/15/main"
conninfo = "host=/var/run/postgresql user=postgres"
repositories = ["local"]
`;

function refusal(text: string): WaldenError {
  try {
    parseConfig(text, '/etc/walden/walden.toml');
  } catch (error) {
    if (isWaldenError(error, 'CONFIG_INVALID')) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('object_lock', () => {
  it.each([
    ['compliance 14 days', { mode: 'compliance', days: 14 }],
    ['compliance 1 day', { mode: 'compliance', days: 1 }],
    ['governance 6 weeks', { mode: 'governance', days: 42 }],
    ['governance 10 years', { mode: 'governance', days: 3650 }],
    ['compliance 0 days', undefined],
    ['compliance 101 years', undefined],
    ['compliance 1.5 days', undefined],
    ['14 days', undefined],
    ['compliance 14', undefined],
    ['Compliance 14 days', undefined],
  ] as const)('%s', (words, lock) => {
    const text = SMALLEST.replace(
      /driver = "local"\npath = .*/,
      `driver = "s3"\nbucket = "b"\nobject_lock = "${words}"`,
    );
    if (lock === undefined) expect(refusal(text).message).toContain(`object_lock: must be like "compliance 14 days"`);
    else expect([...parseConfig(text, 'x').repositories.values()]).toMatchObject([{ objectLock: lock }]);
  });
});

describe('reading a configuration', () => {
  it('fills in every default of the smallest useful file', () => {
    const config = parseConfig(SMALLEST, '/etc/walden/walden.toml');
    expect(config.service.workers).toBeGreaterThan(0);
    expect([...config.repositories.values()]).toEqual([
      {
        ...{ name: 'local', driver: 'local', path: '/var/lib/walden/repository' },
        ...{ access: undefined, uploadLimit: undefined, downloadLimit: undefined },
      },
    ]);
    expect([...config.clusters.values()]).toEqual([
      {
        name: 'main',
        dataDirectory: '/var/lib/postgresql/15/main',
        conninfo: CONNINFO,
        backup: { source: 'files', dataDirectory: '/var/lib/postgresql/15/main', conninfo: CONNINFO },
        repositories: ['local'],
        required: ['local'],
        spoolDirectory: '/var/lib/walden/spool/main',
        ...{ walCompressionLevel: 1, backupCompressionLevel: 3 },
        receive: undefined,
        drill: { pgBin: undefined, directory: undefined, checks: [] },
        ...{ walPushTimeoutSeconds: 60, walFetchTimeoutSeconds: 60 },
      },
    ]);
  });

  it('receives WAL where it is told to, from the server of conninfo unless another is named', () => {
    const receive = (lines: string): unknown =>
      [...parseConfig(`${SMALLEST}${lines}`, 'x').clusters.values()][0]?.receive;
    expect(receive('receive = false\nslot = "mine"\n')).toBeUndefined();
    expect(receive('receive = true\n')).toEqual({
      ...{ conninfo: CONNINFO, slot: 'walden_main', applicationName: undefined },
      ...{ acknowledge: 'repository', spoolLimitBytes: 4_096_000_000, partialIntervalSeconds: undefined },
    });
    const lines = ['replication_conninfo = "host=db1 user=receiver"', 'slot = "mine"', 'application_name = "archive"'];
    expect(
      receive(['receive = true', ...lines, 'acknowledge = "spool"', 'receive_spool_limit = 1\n'].join('\n')),
    ).toEqual({
      ...{ conninfo: 'host=db1 user=receiver', slot: 'mine', applicationName: 'archive' },
      ...{ acknowledge: 'spool', spoolLimitBytes: 1_000_000, partialIntervalSeconds: undefined },
    });
    const dashed = SMALLEST.replace('[cluster.main]', '[cluster.my-db-1]');
    const config = parseConfig(`${dashed}receive = true\n`, 'x');
    expect([...config.clusters.values()][0]?.receive?.slot).toBe('walden_my_db_1');
  });

  it.each(['walden-main', 'Walden', 'x'.repeat(64)])('refuses the slot %s', (slot) => {
    expect(refusal(`${SMALLEST}slot = "${slot}"\n`).message).toContain('cannot be the name of a slot');
  });

  it('appends the name of the cluster to a spool directory that is given', () => {
    const config = parseConfig(`${SMALLEST}spool_directory = "/srv/spool/"\n`, 'x');
    expect([...config.clusters.values()][0]?.spoolDirectory).toBe('/srv/spool/main');
  });

  it('takes some of the repositories as required, and nothing else', () => {
    const some = SMALLEST.replace(
      '[cluster.main]',
      '[repository.far]\ndriver = "local"\npath = "/far"\n[cluster.main]',
    ).replace('["local"]', '["far", "local"]');
    expect([...parseConfig(`${some}required = ["local"]\n`, 'x').clusters.values()][0]?.required).toEqual(['local']);
    expect(() => parseConfig(`${some}required = ["locl"]\n`, 'x')).toThrow(
      'locl is not among the repositories of this cluster (did you mean "local"?)',
    );
    expect(() => parseConfig(`${some}required = []\n`, 'x')).toThrow('cluster.main.required');
    const reading = some.replace('path = "/far"', 'path = "/far"\naccess = "read-only"');
    expect(() => parseConfig(`${reading}required = ["far"]\n`, 'x')).toThrow('repository far is read-only here');
    expect([...parseConfig(reading, 'x').clusters.values()][0]?.required).toEqual(['local']);
    const alone = SMALLEST.replace('path =', 'access = "read-only"\npath =');
    expect([...parseConfig(alone, 'x').clusters.values()][0]?.required).toEqual(['local']);
  });

  it('accepts inline tables and dotted keys for the same keys', () => {
    const text = `service = { state_directory = "/s", socket = "/s/sock", workers = 3 }
cluster.main.data_directory = "/data"
cluster.main.conninfo = "host=/tmp"
cluster.main.repositories = ["local"]
repository.local = { driver = "local", path = "/r" }
`;
    const config = parseConfig(text, 'x');
    expect(config.service.workers).toBe(3);
    expect(config.clusters.size).toBe(1);
  });

  it('takes of each kind of store its own options', () => {
    const text = `${SMALLEST}
[repository.cloud]
driver = "s3"
bucket = "walden"
path_style = false
checksums = "when_required"
tags = ["team=dba", "env=prod"]

[repository.host]
driver = "sftp"
host = "backup.example.org"
user = "walden"
path = "/srv/walden"
`;
    const { repositories } = parseConfig(text, 'x');
    const [, cloud, host] = [...repositories.values()];
    expect(cloud).toMatchObject({ name: 'cloud', driver: 's3', bucket: 'walden', pathStyle: false });
    expect(cloud).toMatchObject({ checksums: 'when_required', tags: ['team=dba', 'env=prod'], endpoint: undefined });
    expect(host).toMatchObject({ driver: 'sftp', host: 'backup.example.org', port: 22, path: '/srv/walden' });
  });

  it.each([
    [
      'an option of another kind of store',
      SMALLEST.replace('path =', 'bucket = "b"\npath ='),
      [':7: repository.local.bucket: unknown key'],
    ],
    [
      'what a kind of store needs',
      SMALLEST.replace('driver = "local"', 'driver = "s3"'),
      [':5: repository.local.bucket: is missing', ':7: repository.local.path: unknown key'],
    ],
    [
      'an unknown kind of store, and nothing else of it',
      SMALLEST.replace('driver = "local"', 'driver = "s4"'),
      [':6: repository.local.driver: "s4" is not one of "local", "s3", "azure", "gcs", "sftp"'],
    ],
    [
      'text where true or false is meant',
      SMALLEST.replace(/driver = "local"\npath = .*/, 'driver = "s3"\nbucket = "b"\npath_style = "yes"'),
      [':8: repository.local.path_style: must be true or false, not text'],
    ],
    [
      'a lock that is not understood',
      SMALLEST.replace(/driver = "local"\npath = .*/, 'driver = "s3"\nbucket = "b"\nobject_lock = "14 days"'),
      [':8: repository.local.object_lock: must be like "compliance 14 days"', 'not "14 days"'],
    ],
    [
      'an unknown key, with the nearest one',
      SMALLEST.replace('socket =', 'sockett ='),
      [':3: service.sockett: unknown key (did you mean "socket"?)', ':1: service.socket: is missing'],
    ],
    ['an unknown section', `${SMALLEST}[clusters.b]\n`, [':13: clusters.b: unknown section (did you mean "cluster"?)']],
    [
      'a wrong type',
      SMALLEST.replace('["local"]', '"local"'),
      [':12: cluster.main.repositories: must be a list like ["local"], not text'],
    ],
    [
      'a number out of range',
      `${SMALLEST}wal_compression_level = 99\n`,
      [':13: cluster.main.wal_compression_level: must be between 1 and 19, not 99'],
    ],
    [
      'a number with a fraction',
      `${SMALLEST}wal_push_timeout = 1.5\n`,
      ['must be a whole number, not a number with a fraction'],
    ],
    ['a missing required key', SMALLEST.replace(/conninfo.*\n/, ''), [':9: cluster.main.conninfo: is missing']],
    [
      'a relative path',
      SMALLEST.replace('"/run/walden/walden.sock"', '"walden.sock"'),
      [':3: service.socket: must be an absolute path, not "walden.sock"'],
    ],
    [
      'a socket path that does not fit',
      SMALLEST.replace('/run/walden/', `/${'d'.repeat(120)}/`),
      [':3: service.socket: must not be longer than 103 bytes'],
    ],
    [
      'an unknown repository',
      SMALLEST.replace('["local"]', '["locl"]'),
      [':12: cluster.main.repositories: there is no section [repository.locl] (did you mean "local"?)'],
    ],
    ['a repository named twice', SMALLEST.replace('["local"]', '["local", "local"]'), ['names "local" twice']],
    ['no repository', SMALLEST.replace('["local"]', '[]'), ['must name at least one']],
    [
      'an unknown driver',
      SMALLEST.replace('driver = "local"', 'driver = "tape"'),
      [':6: repository.local.driver: "tape" is not one of "local"'],
    ],
    [
      'a name that would become a path',
      `${SMALLEST}[cluster."../x"]\ndata_directory = "/d2"\nconninfo = "host=/"\nrepositories = ["local"]\n`,
      [':13: cluster.../x: "../x" is not a valid cluster name'],
    ],
    ['a key outside of any section', `socket = "/x"\n${SMALLEST}`, [':1: socket: a key must stand in a section']],
    [
      'a section without its name',
      SMALLEST.replace('[repository.local]', '[repository]'),
      [':6: repository.driver: the section needs a name: [repository.NAME]'],
    ],
    [
      'a list of tables',
      SMALLEST.replace('[cluster.main]', '[[cluster.main]]'),
      [':9: cluster.main: a list of tables [[…]] has no meaning here'],
    ],
    ['what is not TOML', 'socket 3\n', [':1: not TOML: expected equal']],
    [
      'a key that stands twice',
      SMALLEST.replace('driver', 'path = "/x"\ndriver'),
      ['not TOML: defining a key multiple times'],
    ],
    ['an empty file', '', ['the section [service] is missing', 'there is no section [cluster.NAME]']],
    [
      'an empty value',
      SMALLEST.replace('"host=/var/run/postgresql user=postgres"', '""'),
      [':11: cluster.main.conninfo: must not be empty'],
    ],
  ])('refuses %s', (_, text, expected) => {
    const { message } = refusal(text);
    for (const line of expected) expect(message).toContain(line);
  });

  it('tells every error of a file at once, in the order of the file', () => {
    const text = SMALLEST.replace('socket =', 'sokket =').replace('["local"]', '3');
    const { message, details } = refusal(text);
    expect(message.split('\n')).toHaveLength(4);
    expect(message).toContain('/etc/walden/walden.toml has 3 errors');
    expect((details['problems'] as { line: number }[]).map(({ line }) => line)).toEqual([1, 3, 12]);
  });

  it('never shows conninfo in a message', () => {
    const { message } = refusal(
      SMALLEST.replace('host=/var/run/postgresql user=postgres', 'password=hunter2\\nhost=x'),
    );
    expect(message).toContain('conninfo');
    expect(message).not.toContain('hunter2');
  });
});

describe('directories that must not share bytes', () => {
  const second = (keys: string) => `${SMALLEST}spool_directory = "/s"
[cluster.other]
conninfo = "host=/tmp"
repositories = ["local"]
${keys}`;

  it('lets two clusters name the same spool directory, since each gets its own below', () => {
    const config = parseConfig(second('data_directory = "/d"\nspool_directory = "/s"\n'), 'x');
    expect([...config.clusters.values()].map(({ spoolDirectory }) => spoolDirectory)).toEqual(['/s/main', '/s/other']);
  });

  it.each([
    [
      'one spool inside another',
      second('data_directory = "/d"\nspool_directory = "/s/main"\n'),
      'overlaps with the spool of cluster main',
    ],
    [
      'one data directory for two clusters',
      second('data_directory = "/var/lib/postgresql/15/main"\n'),
      'is also the data directory of cluster main',
    ],
    [
      'a spool inside a data directory',
      second('data_directory = "/d"\nspool_directory = "/d/spool"\n'),
      'lies inside the data directory of cluster other',
    ],
    [
      'a repository inside a data directory',
      SMALLEST.replace('/var/lib/walden/repository', '/var/lib/postgresql/15/main/r'),
      'lies inside the data directory of cluster main',
    ],
    [
      'a repository inside another',
      `${SMALLEST}[repository.b]\ndriver = "local"\npath = "/var/lib/walden/repository/b"\n`,
      'overlaps with repository local',
    ],
  ])('refuses %s', (_, text, expected) => {
    expect(refusal(text).message).toContain(expected);
  });
});

describe('finding the file', () => {
  it('prefers the flag to the environment and the environment to the default', () => {
    expect(configPath('/a', '/b')).toBe('/a');
    expect(configPath(undefined, '/b')).toBe('/b');
    expect(configPath(undefined, '')).toBe('/etc/walden/walden.toml');
  });

  it('says which file is missing and how to name another', async () => {
    await expect(loadConfig({ path: '/nonexistent/walden.toml' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'unable to read the configuration /nonexistent/walden.toml: it does not exist',
    });
  });
});

describe('checking the paths of a configuration', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'walden-config-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  function write(data: string, state = 'state'): string {
    const path = join(directory, 'walden.toml');
    writeFileSync(
      path,
      `[service]
state_directory = "${directory}/${state}"
socket = "${directory}/sock"
[repository.local]
driver = "local"
path = "${directory}/${state}/repository"
[cluster.main]
data_directory = "${directory}/${data}"
conninfo = "host=/tmp"
repositories = ["local"]
`,
    );
    return path;
  }

  function makeDataDirectory(): void {
    mkdirSync(join(directory, 'data/global'), { recursive: true });
    writeFileSync(join(directory, 'data/PG_VERSION'), '15\n');
    writeFileSync(join(directory, 'data/global/pg_control'), '');
  }

  it('accepts directories that Walden will make itself beside a real data directory', async () => {
    makeDataDirectory();
    await expect(loadConfig({ path: write('data'), checkPaths: true })).resolves.toMatchObject({});
  });

  it('does not look at the disk unless it is asked to', async () => {
    await expect(loadConfig({ path: write('absent') })).resolves.toMatchObject({});
  });

  it('refuses a data directory that does not exist', async () => {
    await expect(loadConfig({ path: write('absent'), checkPaths: true })).rejects.toThrow(
      `:8: cluster.main.data_directory: ${directory}/absent does not exist`,
    );
  });

  it('refuses a directory that is not a data directory', async () => {
    mkdirSync(join(directory, 'empty'));
    await expect(loadConfig({ path: write('empty'), checkPaths: true })).rejects.toThrow('it has no PG_VERSION');
  });

  it('refuses a state directory that could not be made', async () => {
    makeDataDirectory();
    await expect(loadConfig({ path: write('data', 'a/b'), checkPaths: true })).rejects.toThrow(
      `:2: service.state_directory: the directory ${directory}/a does not exist`,
    );
  });
});
