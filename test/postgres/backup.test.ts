import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BackupRecord } from '../../catalog/catalog.ts';
import { takeBackup } from '../../src/backup/take-backup.ts';
import { isWaldenError } from '../../src/errors.ts';
import { systemIdentifier } from '../../src/postgres/lsn.ts';
import { readBackupRecord } from '../../src/repository/backup-record.ts';
import type { ManifestEntry } from '../../src/repository/manifest.ts';
import { readManifest } from '../../src/repository/manifest-reader.ts';
import { type BackupSetup, filesOf, MAIN, prepareRecovery, setUpBackup } from '../support/backup-setup.ts';
import { checkIndexes } from '../support/fingerprint.ts';
import { verifyBackupTool } from '../support/postgres-binaries.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { openTestCatalog, openTestRepository, type TestRepository } from '../support/backup-stores.ts';

const hasTools =
  spawnSync('zstd', ['--version']).status === 0 &&
  spawnSync('tar', ['--version']).stdout.toString('utf8').includes('GNU tar');
/** Those of a backup: each has its own, and nothing else here is called so. */
const SESSIONS = "select count(*) from pg_stat_activity where application_name = 'walden'";
const IDLE = { signal: new AbortController().signal, onProgress: (): void => undefined };

async function errorCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

async function entriesOf(repository: TestRepository, record: BackupRecord): Promise<ManifestEntry[]> {
  const stored = await readBackupRecord(repository, MAIN, record.id);
  const entries: ManifestEntry[] = [];
  for await (const entry of readManifest(repository, stored)) entries.push(entry);
  return entries;
}

async function storedIds({ driver }: TestRepository): Promise<string[]> {
  const ids = new Set<string>();
  for await (const { key } of driver.list('main/base/')) ids.add(key.split('/')[2] ?? '');
  return [...ids];
}

function only<T>(items: readonly T[]): T {
  const [item, ...more] = items;
  if (item === undefined || more.length > 0) throw new Error(`${items.length} where one was expected`);
  return item;
}

describe.each(testedVersions)('a backup of PostgreSQL %i', (version) => {
  let setup: BackupSetup;
  let repository: TestRepository;
  let second: TestRepository;
  let restored: TestServer | undefined;

  beforeAll(async () => {
    repository = await openTestRepository('local');
    second = await openTestRepository('second');
    const catalog = openTestCatalog();
    setup = await setUpBackup({ version, initdbArguments: ['-k'] }, { catalog, repositories: [repository, second] });
    const { server } = setup;
    mkdirSync(join(server.socketDirectory, 'space'));
    await server.query(`create tablespace space location '${server.socketDirectory}/space'`);
    await server.query('create table near as select g, md5(g::text) as text from generate_series(1, 200000) g');
    await server.query('create table far tablespace space as select * from near limit 1000');
    await server.query('create unlogged table fleeting as select * from near limit 5000');
    await server.query('create extension amcheck');
  }, 300_000);

  afterEach(async () => {
    await restored?.dispose();
    restored = undefined;
  });

  afterAll(async () => {
    await setup.dispose();
  });

  it('opens with zstd and tar, passes pg_verifybackup, and recovers to what the server held', async ({ skip }) => {
    skip(!hasTools, 'needs zstd and GNU tar');
    const { server } = setup;
    const stop = new AbortController();
    const load = (async () => {
      while (!stop.signal.aborted)
        await server.query("insert into near select g, 'late' from generate_series(1, 500) g");
    })();
    const records = await setup.take({ packBytes: 1_000_000 }).finally(() => {
      stop.abort();
    });
    await load;
    expect(records.map(({ repository: name, state }) => `${name} ${state}`)).toEqual([
      'local complete',
      'second complete',
    ]);
    const record = records[0]!;
    expect(record.facts?.corruptPages).toEqual([]);
    const out = newDirectory('out-');
    const data = `${repository.path}/main/base/${record.id}/data`;
    expect(readdirSync(data).length).toBeGreaterThan(2);
    execFileSync('sh', ['-c', `zstd -dc ${data}/*.tar.zst | tar -xi`], { cwd: out });
    const verify = verifyBackupTool(version);
    if (verify !== undefined) execFileSync(verify, ['-n', out]);

    const space = newDirectory('space-');
    const inBackup = only(readdirSync(join(out, 'pg_tblspc')));
    renameSync(join(out, 'pg_tblspc', inBackup), join(space, 'moved'));
    symlinkSync(join(space, 'moved'), join(out, 'pg_tblspc', inBackup));
    await server.query('select pg_switch_wal()');
    await prepareRecovery(out, setup.archive);
    restored = await startRestored(out, { version });
    const counts = `select (select count(*) from far) || ' ' || (select count(*) from fleeting)`;
    expect(await restored.value(counts)).toBe('1000 0');
    expect(Number(await restored.value('select count(*) from near'))).toBeGreaterThanOrEqual(200_000);
    await checkIndexes(restored);
    // It came with 14.
    const heaps = "select verify_heapam(oid) from pg_class where relname in ('near', 'far', 'pg_class')";
    if (version >= 14) expect(await restored.query(heaps)).toEqual([]);
  }, 300_000);

  it('describes itself in its manifest and record', async () => {
    const record = (await setup.take())[0]!;
    const entries = await entriesOf(repository, record);
    const stored = await readBackupRecord(repository, MAIN, record.id);
    const files = entries.filter((entry) => entry.type === 'file');
    expect(files.length).toBe(record.facts?.files);
    expect(files.slice(-3).map(({ path }) => path)).toEqual(['backup_label', 'backup_manifest', 'global/pg_control']);
    expect(new Set(files.map(({ path }) => path)).size).toBe(files.length);
    expect(files.at(-1)?.pack).toBe(stored.packs.length);
    const ends = new Map<number, number>();
    for (const { path, pack, offset, frames } of files) {
      expect({ path, inOrder: offset >= (ends.get(pack) ?? 0) }).toEqual({ path, inOrder: true });
      ends.set(
        pack,
        frames.reduce((end, [bytes]) => end + bytes, offset),
      );
    }
    const tablespace = only(entries.filter((entry) => entry.type === 'tablespace'));
    expect(record.facts?.tablespaces).toEqual([{ oid: tablespace.oid, location: tablespace.location }]);
    expect(stored.tablespaceMap).toContain(tablespace.location);
    expect(record.facts).toMatchObject({ checksumsVerified: true, corruptPages: [], timeline: 1 });
    const relation = await setup.server.value(`select pg_relation_filepath('fleeting')`);
    expect(files.map(({ path }) => path)).not.toContain(relation);
    expect(files.map(({ path }) => path)).toContain(`${relation}_init`);
    const name = `main/base/${record.id}/backup.json`;
    expect(readFileSync(join(second.path, name)).equals(readFileSync(join(repository.path, name)))).toBe(true);
  }, 60_000);

  it('names a corrupt page by file and block, and is kept', async () => {
    const { server } = setup;
    await server.query('create table broken as select * from near limit 10000');
    const path = await server.value(`select pg_relation_filepath('broken')`);
    await server.stop();
    const file = openSync(join(server.dataDirectory, path), 'r+');
    writeSync(file, Buffer.from('not what was written'), 0, 20, 3 * 8192 + 4000);
    writeSync(file, Buffer.from('not what was written'), 0, 20, 7 * 8192 + 4000);
    closeSync(file);
    await server.start();
    const record = (await setup.take())[0]!;
    expect(record.state).toBe('complete');
    expect(record.facts?.corruptPages).toEqual([{ path, blocks: [3, 7] }]);
    expect(setup.warnings.some((warning) => warning.includes(path))).toBe(true);
    await server.query('drop table broken');
    await server.query('checkpoint');
  }, 60_000);

  it('that is interrupted ends backup mode and leaves nothing half-listed', async () => {
    const { server, deps } = setup;
    const before = (await deps.catalog.backups(MAIN)).map(({ id }) => id);
    const controller = new AbortController();
    const onProgress = ({ phase, files }: { phase: string; files: number }): void => {
      if (phase === 'copying' && files > 0) controller.abort();
    };
    expect(await errorCode(setup.take({}, { signal: controller.signal, onProgress }))).toBe('INTERRUPTED');
    expect(await server.value(SESSIONS)).toBe('0');
    const rows = await deps.catalog.backups(MAIN);
    const failed = rows.filter(({ id }) => !before.includes(id));
    expect(failed.map(({ state }) => state)).toEqual(['failed', 'failed']);
    expect(await storedIds(repository)).toEqual([...new Set(before)]);
    const [next] = await setup.take();
    expect((await deps.catalog.backups(MAIN)).filter(({ state }) => state !== 'complete')).toEqual([]);
    expect(next?.state).toBe('complete');
  }, 60_000);

  it('can be interrupted while it waits for the checkpoint', async () => {
    const controller = new AbortController();
    const onProgress = ({ phase }: { phase: string }): void => {
      if (phase === 'waiting for a checkpoint')
        setImmediate(() => {
          controller.abort();
        });
    };
    expect(await errorCode(setup.take({}, { signal: controller.signal, onProgress }))).toBe('INTERRUPTED');
    await until(async () => (await setup.server.value(SESSIONS)) === '0', {
      what: 'the end of the session',
    });
    expect((await setup.take())[0]?.state).toBe('complete');
  }, 60_000);

  it('fails when its session is ended, and tells so', async () => {
    const { server } = setup;
    let ended: Promise<unknown> | undefined;
    const onProgress = ({ phase }: { phase: string }): void => {
      if (phase !== 'copying') return;
      ended ??= server.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walden'`,
      );
    };
    const code = await errorCode(setup.take({}, { onProgress }));
    await ended;
    expect(['SERVER_UNREACHABLE', 'SERVER_QUERY']).toContain(code);
  }, 60_000);

  it('waits for its WAL and gives up when none arrives', async () => {
    const { deps } = setup;
    const code = await errorCode(takeBackup(deps, setup.request({ walPatienceSeconds: 1 }), IDLE));
    expect(code).toBe('ARCHIVE_TIMEOUT');
    const rows = (await deps.catalog.backups(MAIN)).filter(({ state }) => state === 'failed');
    expect(rows.map(({ error }) => error?.code)).toEqual(['ARCHIVE_TIMEOUT', 'ARCHIVE_TIMEOUT']);
  }, 60_000);

  it('is taken one at a time', async () => {
    const codes = await Promise.all([errorCode(setup.take()), errorCode(setup.take())]);
    expect(codes.sort()).toEqual(['LOCK_HELD', 'no error']);
  }, 60_000);

  it('is refused for another cluster, another data directory and a bad label', async () => {
    const { identity, server } = setup;
    const foreign = { ...identity, systemIdentifier: systemIdentifier('1') };
    expect(await errorCode(setup.take({ identity: foreign }))).toBe('SERVER_MISMATCH');
    const copy = newDirectory('copy-');
    execFileSync('cp', ['-r', join(server.dataDirectory, 'global'), copy]);
    const backup = { ...filesOf(server), dataDirectory: copy };
    const cluster = { name: MAIN, backup, receive: undefined };
    expect(await errorCode(setup.take({ cluster }))).toBe('SERVER_MISMATCH');
    expect(await errorCode(setup.take({ label: 'two\nlines' }))).toBe('USAGE');
  }, 60_000);
});

describe('a backup of a server that does not archive', () => {
  it('is refused before it begins', async () => {
    const parts = { catalog: openTestCatalog(), repositories: [await openTestRepository('local')] };
    const setup = await setUpBackup({ version: newestVersion, settings: { archive_mode: 'off' } }, parts);
    try {
      expect(await errorCode(setup.take())).toBe('SERVER_SETTINGS');
      expect(await setup.deps.catalog.backups(MAIN)).toEqual([]);
    } finally {
      await setup.dispose();
    }
  }, 60_000);
});
