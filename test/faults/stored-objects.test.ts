import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackupFacts, BackupId, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createWorkerPool } from '../../src/platform/worker-pool.ts';
import { systemIdentifier, type TimelineId } from '../../src/postgres/lsn.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import { ensureClusterFile } from '../../src/repository/cluster-file.ts';
import { backupRecordKey, packKey, walKey } from '../../src/repository/keys.ts';
import { rebuildCatalog } from '../../src/repository/rebuild-catalog.ts';
import { WAL_HEADER_BYTES } from '../../src/repository/wal-object.ts';
import { MARKER } from '../../src/restore/target-directory.ts';
import { restoreCluster } from '../../src/restore/restore-cluster.ts';
import { WalFetcher } from '../../src/wal/fetch.ts';
import { storeWalFile } from '../../src/wal/store.ts';
import { MemoryDriver } from '../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf } from '../support/bodies.ts';
import { lieInManifest, type ManifestLine } from '../support/lying-manifest.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type PlainEntry, storeBackup } from '../support/stored-backup.ts';
import { stubCatalog } from '../support/stub-catalog.ts';
import { type StubDriver, stubDriver } from '../support/stub-driver.ts';
import { createWalPool, MAIN, openLocalRepository, setUpWal } from '../support/wal-setup.ts';

const LOCAL = 'local' as RepositoryName;
const ID = '20261122T021500F' as BackupId;
/** What zstd's own checksum cannot tell. */
const withHeadOf = (bytes: Buffer, other: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, WAL_HEADER_BYTES), other.subarray(WAL_HEADER_BYTES)]);
const PLACE = { repository: LOCAL, cluster: 'main' as ClusterName, id: ID };

describe('a stored WAL file that is not what it was', () => {
  const pool = createWalPool();
  afterAll(() => pool.close());

  it.each<[string, string, (bytes: Buffer, other: Buffer) => Buffer]>([
    ['cut in its head', 'FORMAT_INVALID', (bytes) => bytes.subarray(0, 100)],
    ['cut in its body', 'FORMAT_INVALID', (bytes) => bytes.subarray(0, -20)],
    ['empty', 'FORMAT_INVALID', () => Buffer.alloc(0)],
    ['turned in one bit', 'CHECKSUM_MISMATCH', (bytes) => ((bytes[bytes.length - 40]! ^= 4), bytes)],
    ['another segment', 'CHECKSUM_MISMATCH', (_, other) => other],
    ['another segment under its own head', 'CHECKSUM_MISMATCH', withHeadOf],
  ])('%s is never handed out, and another repository serves', async (_, code, change) => {
    const driver = new MemoryDriver();
    const far = await openLocalRepository('far');
    const setup = await setUpWal(pool, [{ name: LOCAL, driver }, far]);
    const [name, other] = [setup.segment(3n), setup.segment(4n)];
    for (const one of [name, other]) {
      await storeWalFile(setup.context, parseWalName(one), join(setup.dataDirectory, 'pg_wal', one));
    }
    const chunks: Buffer[] = [];
    for await (const chunk of await driver.get(walKey(MAIN, parseWalName(other)))) chunks.push(chunk as Buffer);
    driver.damage(walKey(MAIN, parseWalName(name)), (bytes) => change(bytes, Buffer.concat(chunks)));
    const alone = new WalFetcher(setup.withRepositories([{ name: LOCAL, driver }]), setup.spool);
    await expect(alone.fetch(name)).rejects.toMatchObject({ code, message: expect.stringContaining(name) as string });
    expect(await setup.spool.prefetched()).toEqual([]);
    await alone.stop();
    const both = new WalFetcher(setup.context, setup.spool);
    expect(await both.fetch(name)).toBe('ready');
    expect(readFileSync(setup.spool.prefetchedPath(name))).toEqual(
      readFileSync(join(setup.dataDirectory, 'pg_wal', name)),
    );
    await both.stop();
  });
});

const file = (path: string, text: string): PlainEntry => ({ path, type: 'file', bytes: Buffer.from(text) });
const ENTRIES: readonly PlainEntry[] = [
  ...['base', 'base/5', 'global', 'pg_wal', 'pg_tblspc'].map((path) => ({ path, type: 'directory' }) as const),
  file('base/5/1', 'one '.repeat(2000)),
  file('base/5/2', 'two '.repeat(3000)),
  file('backup_label', 'START WAL LOCATION: 0/2000028\n'),
  file('global/pg_control', 'control'),
];

describe('a stored backup that lies', () => {
  const pool = createWorkerPool(new URL('../support/restore-worker.js', import.meta.url), 2);
  afterAll(() => pool.close());
  let driver: StubDriver;
  let planned: BackupFacts;
  let directory: string;
  let to: string;

  beforeEach(() => {
    driver = stubDriver();
    planned = storeBackup(driver, { ...PLACE, entries: ENTRIES }).facts;
    directory = newDirectory('restore-');
    to = join(directory, 'data');
  });

  function restore(): Promise<unknown> {
    const start = { ...PLACE, label: 'test', startedAt: planned.stoppedAt };
    const range = { timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 };
    return restoreCluster(
      {
        catalog: stubCatalog({
          backups: [{ ...start, state: 'complete', facts: planned, error: undefined }],
          ranges: [range],
        }),
        repositories: [{ name: LOCAL, driver }],
        pool,
        clock: { now: () => systemClock.now(), sleep: () => Promise.resolve() },
      },
      { cluster: PLACE.cluster, request: { target: { kind: 'latest' }, to }, restoreCommand: 'walden-fetch %f %p' },
      { signal: new AbortController().signal, onProgress: () => undefined },
    );
  }

  /** Never startable, nothing outside of the target, and the next attempt with a sound manifest succeeds. */
  async function expectRefused(code: string): Promise<void> {
    await expect(restore()).rejects.toMatchObject({ code });
    expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
    expect(readdirSync(directory)).toEqual(existsSync(to) ? ['data'] : []);
    planned = storeBackup(driver, { ...PLACE, entries: ENTRIES }).facts;
    await restore();
    expect(readFileSync(join(to, 'base/5/1'), 'utf8')).toBe('one '.repeat(2000));
  }

  const lie = (change: (one: ManifestLine, all: ManifestLine[]) => void): void => {
    lieInManifest(driver, PLACE, (entries) => {
      change(
        entries.find(({ path }) => path === 'base/5/1')!,
        entries,
      );
    });
  };

  it.each<[string, string, (one: ManifestLine, all: ManifestLine[]) => void]>([
    ['a size that is too small', 'CHECKSUM_MISMATCH', (one) => (one.size! -= 1)],
    ['a size that its frames cannot hold', 'FORMAT_INVALID', (one) => (one.size! += 100_000)],
    ['another hash', 'CHECKSUM_MISMATCH', (one) => (one.sha256 = 'a'.repeat(64))],
    ['another place in the pack', 'CHECKSUM_MISMATCH', (one) => (one.offset! += 1)],
    ['a place behind the pack', 'CHECKSUM_MISMATCH', (one) => (one.offset! += 1e9)],
    ['a pack that there is not', 'STORAGE_OBJECT_MISSING', (one) => (one.pack = 77)],
    ['a frame of a terabyte', 'FORMAT_INVALID', (one) => (one.frames![0]![1] = 1e12)],
    ['a file twice', 'FORMAT_INVALID', (one, all) => void all.push({ ...one })],
    [
      'a file over the one that waits to be pg_control',
      'FORMAT_INVALID',
      (one) => (one.path = `global/pg_control.walden-incomplete`),
    ],
    ['a path outside', 'FORMAT_INVALID', (one) => (one.path = '../outside')],
    ['a path outside in the middle', 'FORMAT_INVALID', (one) => (one.path = 'base/../../outside')],
    ['an absolute path', 'FORMAT_INVALID', (one) => (one.path = '/tmp/outside')],
    [
      'a directory outside',
      'FORMAT_INVALID',
      (_, all) => void all.push({ path: '../out', type: 'directory', ...{ mode: 0o700 } }),
    ],
  ])('%s in its manifest is refused', async (_, code, change) => {
    lie(change);
    await expectRefused(code);
  });

  it('in the commit record is refused, because the plan was made with another', async () => {
    const entries = [...ENTRIES, file('base/5/3', 'more')];
    storeBackup(driver, { ...PLACE, entries, facts: { timeline: 2 as TimelineId } });
    await expectRefused('BACKUP_INVALID');
  });

  it('lacks a pack: refused by name', async () => {
    driver.objects.delete(packKey(PLACE.cluster, ID, 1));
    await expectRefused('STORAGE_OBJECT_MISSING');
  });

  it('has a marker in its target that is a link: nothing behind it is touched', async () => {
    const precious = join(directory, 'precious');
    writeFileSync(precious, 'kept');
    mkdirSync(to);
    symlinkSync(precious, join(to, MARKER));
    await expect(restore()).rejects.toMatchObject({ code: 'PATH_NOT_EMPTY' });
    expect(readFileSync(precious, 'utf8')).toBe('kept');
    expect(lstatSync(join(to, MARKER)).isSymbolicLink()).toBe(true);
  });
});

describe('rebuilding the catalog', () => {
  it('passes a backup of another cluster over, and says so', async () => {
    const driver = new MemoryDriver();
    const stub = stubDriver();
    const foreign = { systemIdentifier: systemIdentifier('8'), majorVersion: 17, segmentBytes: 1048576 };
    storeBackup(stub, { ...PLACE, entries: ENTRIES, facts: { identity: foreign as BackupFacts['identity'] } });
    for (const [key, bytes] of stub.objects) await driver.put(objectKey(key), bodyOf(bytes), { ifExists: 'fail' });
    const repository = { name: LOCAL, driver };
    await ensureClusterFile(repository, PLACE.cluster, {
      ...(foreign as BackupFacts['identity']),
      systemIdentifier: systemIdentifier('7'),
    });
    const catalog = SqliteCatalog.open(':memory:');
    const notes: string[] = [];
    await rebuildCatalog({
      ...{ repositories: [repository], clusters: [PLACE.cluster], catalog, signal: new AbortController().signal },
      note: (text) => notes.push(text),
    });
    expect(await catalog.backups(PLACE.cluster)).toEqual([]);
    expect(notes.join()).toContain(`${backupRecordKey(PLACE.cluster, ID)} is of another cluster: system 8`);
    await catalog.close();
  });
});
