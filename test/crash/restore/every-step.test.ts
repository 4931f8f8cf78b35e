import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BackupId, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { TimelineId } from '../../../src/postgres/lsn.ts';
import type { PlanDeps } from '../../../src/restore/plan.ts';
import { restoreCluster } from '../../../src/restore/restore-cluster.ts';
import { MARKER } from '../../../src/restore/target-directory.ts';
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

function file(path: string, length: number): PlainEntry {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(`${path} ${index}`).digest(),
  );
  return { path, type: 'file', bytes: Buffer.concat(blocks).subarray(0, length) };
}

const ENTRIES: readonly PlainEntry[] = [
  ...['base', 'base/5', 'global', 'pg_wal', 'pg_tblspc'].map((path): PlainEntry => ({ path, type: 'directory' })),
  { path: TABLESPACE, type: 'tablespace', oid: 16384, location: ORIGINAL },
  { path: `${TABLESPACE}/PG_17`, type: 'directory' },
  { path: 'PG_VERSION', type: 'file', bytes: Buffer.from('17\n') },
  { path: 'postgresql.auto.conf', type: 'file', bytes: Buffer.from("work_mem = '5MB'\n") },
  { path: 'standby.signal', type: 'file', bytes: Buffer.alloc(0) },
  file('base/5/1', 20_000),
  file('base/5/2', 0),
  file(`${TABLESPACE}/PG_17/1`, 8192),
  { path: 'backup_label', type: 'file', bytes: Buffer.from('START WAL LOCATION: 0/2000028\n') },
  file('global/pg_control', 8192),
];

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

const dataDirectory = (disk: Disk): string => join(disk.root, 'nodes', 'new', 'data');
const tablespace = (disk: Disk): string => join(disk.root, 'tablespaces', 'new');

async function restore(disk: Disk, process: MortalProcess): Promise<void> {
  const order = {
    cluster: CLUSTER,
    request: {
      ...{ target: { kind: 'latest' as const }, to: dataDirectory(disk) },
      tablespaceMap: { [ORIGINAL]: tablespace(disk) },
    },
    restoreCommand: 'walden-fetch %f %p',
  };
  const controls = { signal: new AbortController().signal, onProgress: () => undefined };
  await untilDeath(process, () => restoreCluster(deps, order, controls));
}

function startable(disk: Disk): boolean {
  return existsSync(join(dataDirectory(disk), 'global/pg_control'));
}

function assertComplete(disk: Disk): void {
  const data = dataDirectory(disk);
  for (const entry of ENTRIES) {
    if (entry.type !== 'file' || /auto\.conf|standby\.signal/.test(entry.path)) continue;
    expect(readFileSync(join(data, entry.path)).equals(entry.bytes), entry.path).toBe(true);
  }
  expect(readlinkSync(join(data, TABLESPACE))).toBe(tablespace(disk));
  const conf = readFileSync(join(data, 'postgresql.auto.conf'), 'utf8');
  expect(conf).toContain("work_mem = '5MB'");
  expect(conf).toContain("restore_command = 'walden-fetch %f %p'");
  expect(existsSync(join(data, 'standby.signal'))).toBe(false);
  expect(existsSync(join(data, 'recovery.signal'))).toBe(true);
}

function rubbish(disk: Disk): readonly string[] {
  return disk.files().filter((path) => path.endsWith(MARKER) || /walden|\.tmp$/.test(path));
}

async function completeAfter(disk: Disk): Promise<void> {
  if (startable(disk)) {
    // Complete, and the node may have been started: it is not filled again.
    assertComplete(disk);
    const again = restore(disk, new MortalProcess());
    await expect(again).rejects.toSatisfy((error: unknown) => isWaldenError(error, 'PATH_NOT_EMPTY'));
    expect(rubbish(disk).filter((path) => !path.endsWith(MARKER))).toEqual([]);
    return;
  }
  await restore(disk, new MortalProcess());
  assertComplete(disk);
  expect(rubbish(disk)).toEqual([]);
  disk.suffer('nothing unsynced');
  expect(startable(disk)).toBe(true);
  assertComplete(disk);
}

/** The first process dies at the last step before the directory could be started, so that there is much to remove. */
async function leaveMuch(disk: Disk): Promise<void> {
  publishing ??= await publishingStep();
  const process = new MortalProcess(publishing);
  await restore(disk, process);
  expect(process.died).toBe(true);
  expect(readdirSync(dataDirectory(disk)).length).toBeGreaterThan(5);
}

let publishing: number | undefined;

async function publishingStep(): Promise<number> {
  const whole = new MortalProcess();
  await withDisk((other) => restore(other, whole));
  const found = whole.steps.findIndex((step) => step.startsWith('rename') && step.endsWith('global/pg_control'));
  expect(found).toBeGreaterThan(0);
  return found + 1;
}

async function withDisk(work: (disk: Disk) => Promise<void>): Promise<void> {
  const disk = new Disk(newDirectory('disk'));
  await watchFiles(disk);
  try {
    await work(disk);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

function dieAndGoOn(
  aftermath: Aftermath,
  process: MortalProcess,
  before: (disk: Disk) => Promise<void>,
): Promise<void> {
  return withDisk(async (disk) => {
    await before(disk);
    await restore(disk, process);
    disk.suffer(aftermath);
    await completeAfter(disk);
  });
}

describe('a restore that dies at any step', () => {
  it.each(AFTERMATHS)('can be started when it is complete, or be begun again: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process, () => Promise.resolve()));
  });

  it.each(AFTERMATHS)('and was the second attempt, is begun a third time: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process, leaveMuch));
  });
});
