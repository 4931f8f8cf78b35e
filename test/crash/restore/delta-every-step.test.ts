import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BackupId, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { TimelineId } from '../../../src/postgres/lsn.ts';
import type { PlanDeps } from '../../../src/restore/plan.ts';
import { restoreCluster } from '../../../src/restore/restore-cluster.ts';
import { MARKER } from '../../../src/restore/target-directory.ts';
import { assertRestored, shortStory } from '../../support/chain-story.ts';
import { controlFile } from '../../support/control-file.ts';
import { type Aftermath, AFTERMATHS, Disk } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { sameThreadPool } from '../../support/crash/same-thread-pool.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { type PlainEntry, storeBackup } from '../../support/stored-backup.ts';
import { stubCatalog } from '../../support/stub-catalog.ts';
import { stubDriver } from '../../support/stub-driver.ts';

const CLUSTER = 'main' as ClusterName;
const REPOSITORY = 'local' as RepositoryName;
const ORIGINAL = '/no/such/tablespace';
const TABLESPACE = 'pg_tblspc/16384';
const OLD_CONTROL = controlFile({ checkpoint: 0x300028n });

function content(name: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(`${name} ${index}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function file(path: string, length: number): PlainEntry {
  return { path, type: 'file', bytes: content(path, length) };
}

const ENTRIES: readonly PlainEntry[] = [
  ...['base', 'base/5', 'global', 'pg_wal', 'pg_tblspc'].map((path): PlainEntry => ({ path, type: 'directory' })),
  { path: TABLESPACE, type: 'tablespace', oid: 16384, location: ORIGINAL },
  { path: `${TABLESPACE}/PG_17`, type: 'directory' },
  { path: 'PG_VERSION', type: 'file', bytes: Buffer.from('17\n') },
  { path: 'postgresql.auto.conf', type: 'file', bytes: Buffer.from("work_mem = '5MB'\n") },
  file('base/5/1', 20_000),
  file('base/5/2', 8192),
  file('base/5/3', 8192),
  file(`${TABLESPACE}/PG_17/1`, 8192),
  file(`${TABLESPACE}/PG_17/2`, 8192),
  { path: 'backup_label', type: 'file', bytes: Buffer.from('START WAL LOCATION: 0/2000028\n') },
  { path: 'global/pg_control', type: 'file', bytes: controlFile() },
];

/** What the old server has left; below `tablespace` in the directory of that. */
const OLD: ReadonlyMap<string, Buffer> = new Map([
  ['PG_VERSION', Buffer.from('17\n')],
  ['postgresql.auto.conf', Buffer.from("work_mem = '5MB'\nport = 5433\n")],
  ['base/5/1', content('changed', 20_000)],
  ['base/5/2', content('base/5/2', 8192)],
  ['base/5/4', content('dropped since', 8192)],
  ['base/6/1', content('of another database', 100)],
  ['pg_wal/archive_status/1.done', Buffer.alloc(0)],
  ['postmaster.opts', Buffer.from('postgres\n')],
  ['global/pg_control', OLD_CONTROL],
  ['tablespace/PG_17/1', content(`${TABLESPACE}/PG_17/1`, 8192)],
  ['tablespace/PG_17/2', content('changed', 8192)],
  ['tablespace/PG_17/3', content('dropped since', 8192)],
]);

const driver = stubDriver();
const backup = storeBackup(driver, {
  repository: REPOSITORY,
  cluster: CLUSTER,
  id: '20261122T021500F' as BackupId,
  entries: ENTRIES,
  facts: { tablespaces: [{ oid: 16384, location: ORIGINAL }] },
  packBytes: 16 * 1024,
});
const deps: PlanDeps = {
  catalog: stubCatalog({
    backups: [backup],
    ranges: [{ timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 }],
  }),
  repositories: [{ name: REPOSITORY, driver }],
  pool: sameThreadPool(),
  clock: { now: () => systemClock.now(), sleep: () => Promise.resolve() },
};

const dataDirectory = (disk: Disk): string => join(disk.root, 'data');
const tablespace = (disk: Disk): string => join(disk.root, 'tablespace');

function placeOf(disk: Disk, path: string): string {
  return path.startsWith('tablespace/') ? join(disk.root, path) : join(dataDirectory(disk), path);
}

async function restore(disk: Disk, process: MortalProcess, isDelta = true): Promise<void> {
  const request = {
    ...{ target: { kind: 'latest' as const }, to: dataDirectory(disk), delta: isDelta },
    tablespaceMap: { [ORIGINAL]: tablespace(disk) },
  };
  const order = { cluster: CLUSTER, request, restoreCommand: 'walden-fetch %f %p' };
  const controls = { signal: new AbortController().signal, onProgress: () => undefined };
  await untilDeath(process, () => restoreCluster(deps, order, controls));
}

/** Durable, since nobody watched. */
function leaveOld(disk: Disk): void {
  for (const [path, bytes] of OLD) {
    const place = placeOf(disk, path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytes);
  }
  mkdirSync(join(dataDirectory(disk), 'pg_tblspc'));
  symlinkSync(tablespace(disk), join(dataDirectory(disk), TABLESPACE));
}

function control(disk: Disk): 'none' | 'old' | 'new' {
  const path = join(dataDirectory(disk), 'global/pg_control');
  if (!existsSync(path)) return 'none';
  return readFileSync(path).equals(OLD_CONTROL) ? 'old' : 'new';
}

/** Startable as it was: then nothing of it may be changed. */
function assertOld(disk: Disk): void {
  for (const [path, bytes] of OLD) expect(readFileSync(placeOf(disk, path)).equals(bytes), path).toBe(true);
  expect(readlinkSync(join(dataDirectory(disk), TABLESPACE))).toBe(tablespace(disk));
}

function assertNew(disk: Disk): void {
  const data = dataDirectory(disk);
  const files = ENTRIES.filter((entry) => entry.type === 'file');
  for (const { path, bytes } of files) {
    if (path !== 'postgresql.auto.conf') expect(readFileSync(join(data, path)).equals(bytes), path).toBe(true);
  }
  expect(readlinkSync(join(data, TABLESPACE))).toBe(tablespace(disk));
  const conf = readFileSync(join(data, 'postgresql.auto.conf'), 'utf8');
  expect(conf).not.toContain('port = 5433');
  expect(conf).toContain("restore_command = 'walden-fetch %f %p'");
  const expected = files.map(({ path }) => path.replace(TABLESPACE, 'tablespace')).map((path) => placeOf(disk, path));
  const links = [join(data, 'recovery.signal'), join(data, TABLESPACE)];
  const found = disk.files().map((path) => join(disk.root, path));
  expect(found.filter((path) => !path.endsWith(MARKER)).sort()).toEqual([...expected, ...links].sort());
}

async function completeAfter(disk: Disk): Promise<void> {
  const found = control(disk);
  if (found === 'old') assertOld(disk);
  if (found === 'new') assertNew(disk);
  if (found === 'none') {
    // What an old server has left is not for a plain restore to remove.
    const plain = restore(disk, new MortalProcess(), false);
    await expect(plain).rejects.toSatisfy((error: unknown) => isWaldenError(error, 'PATH_NOT_EMPTY'));
  }
  await restore(disk, new MortalProcess());
  assertNew(disk);
  disk.suffer('nothing unsynced');
  expect(control(disk)).toBe('new');
  assertNew(disk);
  expect(disk.files().filter((path) => path.endsWith(MARKER))).toEqual([]);
}

async function withDisk(work: (disk: Disk) => Promise<void>, before: (disk: Disk) => void): Promise<void> {
  const disk = new Disk(newDirectory('disk'));
  before(disk);
  await watchFiles(disk);
  try {
    await work(disk);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

describe('a delta restore that dies at any step', () => {
  it.each(AFTERMATHS)('leaves the old directory, the new one, or what can be begun again: %s', async (aftermath) => {
    await atEveryStep(async (process) => {
      await withDisk(async (disk) => {
        await restore(disk, process);
        disk.suffer(aftermath);
        await completeAfter(disk);
      }, leaveOld);
    });
  });

  it.each(AFTERMATHS)('and was the second attempt, is begun a third time: %s', async (aftermath) => {
    const whole = new MortalProcess();
    await withDisk((disk) => restore(disk, whole), leaveOld);
    const middle = Math.floor(whole.steps.length / 2);
    await atEveryStep(async (process) => {
      await withDisk(async (disk) => {
        await restore(disk, new MortalProcess(middle));
        await restore(disk, process);
        disk.suffer(aftermath);
        await completeAfter(disk);
      }, leaveOld);
    });
  });
});

describe('a delta restore from a chain of backups that dies at any step', () => {
  const { story, files } = shortStory(128 * 1024);
  const chainDeps = story.deps(sameThreadPool());

  async function restoreChain(disk: Disk, process: MortalProcess): Promise<void> {
    const request = { target: { kind: 'latest' as const }, to: dataDirectory(disk), delta: true };
    const order = { cluster: CLUSTER, request, restoreCommand: 'walden-fetch %f %p' };
    const controls = { signal: new AbortController().signal, onProgress: () => undefined };
    await untilDeath(process, () => restoreCluster(chainDeps, order, controls));
  }

  /** As the backup has it, but for some blocks, a file that is missing and one that is too many. */
  function leaveOldOfChain(disk: Disk): void {
    const old = new Map(files);
    old.set('base/5/2', Buffer.alloc(100, 1));
    old.delete('base/6/3');
    old.set('base/6/77', Buffer.alloc(100, 1));
    old.set('backup_manifest', Buffer.from('of an earlier restore'));
    old.set('global/pg_control', OLD_CONTROL);
    for (const [path, bytes] of old) {
      mkdirSync(dirname(placeOf(disk, path)), { recursive: true });
      writeFileSync(placeOf(disk, path), bytes);
    }
  }

  it.each(AFTERMATHS)('can be started when it is complete, or be begun again: %s', async (aftermath: Aftermath) => {
    await atEveryStep(async (process) => {
      await withDisk(async (disk) => {
        await restoreChain(disk, process);
        disk.suffer(aftermath);
        // Of a chain pg_control is only bytes, which no second look would take for one.
        if (control(disk) !== 'new') {
          await restoreChain(disk, new MortalProcess());
          // What has died before its last fsync may lose its last step again; this one came to its end.
          disk.suffer('nothing unsynced');
        }
        assertRestored(dataDirectory(disk), files, [MARKER]);
      }, leaveOldOfChain);
    });
  });
});
