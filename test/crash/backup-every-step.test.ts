import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackupId, BackupRecord, Catalog } from '../../catalog/catalog.ts';
import { reconcileBackups } from '../../src/backup/reconcile.ts';
import { sweepBackups } from '../../src/backup/sweep.ts';
import { takeBackup } from '../../src/backup/take-backup.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { readBackupRecord } from '../../src/repository/backup-record.ts';
import { beginOrRecognise } from '../../src/repository/begin-or-recognise.ts';
import { backupsPrefix, manifestKey, packKey } from '../../src/repository/keys.ts';
import { readManifest } from '../../src/repository/manifest-reader.ts';
import { repositoryName } from '../../src/repository/names.ts';
import { readSmallObject } from '../../src/repository/object-bytes.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../storage-drivers/memory/memory-driver.ts';
import { openTestCatalog } from '../support/backup-stores.ts';
import { type BackupSetup, MAIN, setUpBackup } from '../support/backup-setup.ts';
import { type Aftermath, AFTERMATHS, Disk } from '../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../support/crash/every-step.ts';
import { mortalCatalog } from '../support/crash/mortal-catalog.ts';
import { mortalDriver } from '../support/crash/mortal-driver.ts';
import { MortalProcess } from '../support/crash/mortal-process.ts';
import { sameThreadPool } from '../support/crash/same-thread-pool.ts';
import { forgetFiles, watchFiles } from '../support/crash/watched-files.ts';
import { newDirectory } from '../support/sandbox.ts';
import { newestVersion } from '../support/tested-versions.ts';

const LOCAL = repositoryName('local');
const FAR = repositoryName('far');
const OBJECT_BYTES = 64 * 1024 * 1024;
/** Each test takes some forty backups, most of which die: half a minute where nothing else runs. */
const TIMEOUT_MS = 900_000;
/** Nobody here waits for anything but the archiver. */
const CLOCK: Clock = { ...systemClock, sleep: (milliseconds, signal) => systemClock.sleep(milliseconds / 50, signal) };

const pool = sameThreadPool();
let setup: BackupSetup;
let disk: Disk;
let far: MemoryDriver;
let catalog: Catalog;

beforeAll(async () => {
  // Only their names are used.
  const repositories = [LOCAL, FAR].map((name) => ({ name, driver: new MemoryDriver() }));
  const parts = { catalog: openTestCatalog(), repositories };
  setup = await setUpBackup({ version: newestVersion, initdbArguments: ['--wal-segsize=1'] }, parts);
  for (const name of ['template0', 'template1']) {
    await setup.server.query(`alter database ${name} is_template false`);
    await setup.server.query(`drop database ${name}`);
  }
});

afterAll(() => setup.dispose());

beforeEach(async () => {
  disk = new Disk(newDirectory('disk'));
  far = new MemoryDriver();
  catalog = openTestCatalog();
  await catalog.registerCluster(MAIN, setup.identity);
  await watchFiles(disk);
  // Known before the first backup: its WAL is in it.
  for (const repository of await open()) await beginOrRecognise(repository, catalog);
});

afterEach(async () => {
  forgetFiles(disk);
  disk.remove();
  await catalog.close();
});

/** The service starts, puts right what it finds, and takes a backup; to the end or to its death. */
async function backUp(process: MortalProcess): Promise<void> {
  const work = untilDeath(process, async () => {
    const repositories = await open(process);
    const deps = { ...setup.deps, repositories, catalog: mortalCatalog(catalog, process), pool, clock: CLOCK };
    for (const repository of repositories) await beginOrRecognise(repository, deps.catalog);
    await reconcileBackups(deps, MAIN, repositories);
    const controls = { signal: new AbortController().signal, onProgress: () => undefined };
    await takeBackup(deps, setup.request({ packBytes: 500_000 }), controls);
  });
  await setup.recording(catalog, work);
}

async function open(process = new MortalProcess()): Promise<readonly Repository[]> {
  const root = join(disk.root, 'repository');
  const driver = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
  return [
    { name: LOCAL, driver },
    { name: FAR, driver: mortalDriver(far, process) },
  ];
}

async function keys(repository: Repository): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of repository.driver.list(backupsPrefix(MAIN))) found.push(key);
  return found;
}

const idOf = (key: string): string => key.slice(backupsPrefix(MAIN).length).split('/')[0]!;

/** In this repository, as the catalog says. */
async function rows({ name }: Repository): Promise<readonly BackupRecord[]> {
  return (await catalog.backups(MAIN)).filter(({ repository }) => repository === name);
}

const complete = (found: readonly BackupRecord[]): readonly string[] =>
  found.filter(({ state }) => state === 'complete').map(({ id }) => id);

/** Which backups there are: those with a backup.json, and each of them is whole. */
async function wholeBackups(repository: Repository): Promise<readonly string[]> {
  const ids = (await keys(repository)).filter((key) => key.endsWith('/backup.json')).map(idOf);
  for (const id of ids) await assertWhole(repository, id as BackupId);
  return ids;
}

async function assertWhole(repository: Repository, id: BackupId): Promise<void> {
  const record = await readBackupRecord(repository, MAIN, id);
  const objects = [
    { key: manifestKey(MAIN, id), ...record.manifest },
    ...record.packs.map((pack, index) => ({ key: packKey(MAIN, id, index + 1), ...pack })),
  ];
  for (const { key, bytes, sha256 } of objects) {
    const stored = await readSmallObject(repository.driver, key, OBJECT_BYTES);
    expect([stored.length, createHash('sha256').update(stored).digest('hex')], key).toEqual([bytes, sha256]);
  }
  let files = 0;
  for await (const entry of readManifest(repository, record)) files += entry.type === 'file' ? 1 : 0;
  expect(files).toBe(record.facts.files);
}

/** At any moment: what the catalog calls complete exists. After the next start: and nothing else exists, or runs. */
async function assertTruth(): Promise<void> {
  const repositories = await open();
  for (const repository of repositories) {
    const known = complete(await rows(repository));
    expect(await wholeBackups(repository)).toEqual(expect.arrayContaining([...known]));
  }
  await reconcileBackups({ ...setup.deps, catalog: mortalCatalog(catalog, new MortalProcess()) }, MAIN, repositories);
  for (const repository of repositories) {
    const known = await rows(repository);
    expect(known.filter(({ state }) => state === 'running')).toEqual([]);
    expect(complete(known)).toEqual(await wholeBackups(repository));
  }
}

async function assertNoRubbish(): Promise<void> {
  expect(disk.files().filter((file) => file.includes('/.staging/test/'))).toEqual([]);
  for (const repository of await open()) {
    const known = await rows(repository);
    expect(known.filter(({ state }) => state !== 'complete')).toEqual([]);
    expect([...new Set((await keys(repository)).map(idOf))]).toEqual(complete(known));
  }
}

interface Fate {
  /** What comes over the disk after each death, each time followed by a start of the service. */
  readonly fate: readonly Aftermath[];
  /** Whether what is left is swept before the next process begins, so that this one dies at each step of the backup. */
  readonly swept: boolean;
}

const FATES: readonly Fate[] = [
  ...AFTERMATHS.slice(1).map((aftermath) => ({ fate: [aftermath], swept: true })),
  // What the start relied on must be as durable as what it did itself.
  { fate: ['killed', 'nothing unsynced'], swept: true },
  // The next one dies while it sweeps, too.
  { fate: ['killed'], swept: false },
];

async function sweep(): Promise<void> {
  const deps = { ...setup.deps, catalog: mortalCatalog(catalog, new MortalProcess()) };
  await sweepBackups(deps, MAIN, await open(), new AbortController().signal);
  await assertNoRubbish();
}

describe('a backup whose service dies at any step', () => {
  // One after the other on the same repositories: each has to put right what the one before left, and comes one step further.
  it.each(FATES)(
    'exists whole or not at all, and the next one is taken: $fate, swept: $swept',
    { timeout: TIMEOUT_MS },
    async (next) => {
      await atEveryStep(async (process) => {
        await backUp(process);
        if (!process.died) return;
        for (const aftermath of next.fate) {
          disk.suffer(aftermath);
          await assertTruth();
        }
        if (next.swept) await sweep();
      });
      await assertNoRubbish();
      await assertTruth();
      disk.suffer('nothing unsynced');
      await assertTruth();
    },
  );
});
