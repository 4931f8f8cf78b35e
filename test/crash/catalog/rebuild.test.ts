import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BackupId, Catalog } from '../../../catalog/catalog.ts';
import type { TimelineWriter } from '../../../catalog/writers.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { errorToDocument, WaldenError } from '../../../src/errors.ts';
import { parseWalName } from '../../../src/postgres/wal-name.ts';
import { rebuildAndReplace } from '../../../src/repository/rebuild-and-replace.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { backupStart, MAIN, micros, NEAR, timeline } from '../../support/catalog-rows.ts';
import { type Aftermath, AFTERMATHS, Disk } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { mortalCatalog } from '../../support/crash/mortal-catalog.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { GeneratedRepository } from '../../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';

const FILE = 'catalog.sqlite';
/** Filled without waiting for the disk, and fsynced only when it is whole. */
const FILLED_BY_SQLITE = /\.next$/;
const template = join(newDirectory('template'), FILE);
const driver = new MemoryDriver();
const WRITER: TimelineWriter = {
  ...{ cluster: MAIN, timeline: timeline(1), node: { host: 'db1', dataDirectory: '/data' }, since: micros(2) },
};
let [before, after]: unknown[] = [];

/** Knows too little of one segment and too much of another; and what no repository knows: a job, a refusal, a writer, a backup. */
beforeAll(async () => {
  const catalog = SqliteCatalog.open(template);
  const repository = new GeneratedRepository({ name: NEAR, driver }, catalog);
  await repository.begin();
  await repository.addSegments(1, [1, 2, 3, 7]);
  await repository.addBackup('20261122T021500F' as BackupId);
  const unknown = '000000010000000000000004';
  await repository.addSegments(1, [4]);
  await catalog.forgetWalFile(NEAR, MAIN, parseWalName(unknown).name);
  const gone = await repository.addWal('000000010000000000000009');
  await driver.remove(gone.key);
  await catalog.openBackup([backupStart({ id: '20261123T021500F' as BackupId, repository: NEAR })]);
  await catalog.createJob({ id: 'a job', kind: 'catalog-rebuild', cluster: undefined, startedAt: micros(1) });
  await catalog.recordRefusal(
    ...([MAIN, gone.name, errorToDocument(new WaldenError('FORMAT_INVALID', 'x')), micros(2)] as const),
  );
  await catalog.writers.claim(WRITER);
  before = await answers(catalog);
  await catalog.close();
  await withDisk(async (disk) => {
    await rebuild(disk, new MortalProcess());
    after = await stored(disk.root);
  });
  expect(after).not.toEqual(before);
  // No repository says who writes: it is taken over.
  expect(after).toContainEqual([WRITER]);
});

async function answers(catalog: Catalog): Promise<unknown> {
  const found: unknown[] = [await catalog.clusters(), await catalog.clusterIdentity(MAIN)];
  for await (const file of catalog.walFiles(NEAR, MAIN)) found.push(file);
  found.push(await catalog.walRanges(NEAR, MAIN), await catalog.backups(MAIN));
  found.push(
    await catalog.jobs(10),
    await catalog.refusals(MAIN),
    await catalog.writers.writers(MAIN),
    await catalog.problems(),
  );
  return found;
}

async function stored(directory: string): Promise<unknown> {
  const catalog = SqliteCatalog.openOwn(join(directory, FILE));
  try {
    return await answers(catalog);
  } finally {
    await catalog.close();
  }
}

/** The service starts and rebuilds its catalog, to the end or to its death; `release` lets go of what it had open. */
async function rebuild(disk: Disk, process: MortalProcess): Promise<() => Promise<void>> {
  const path = join(disk.root, FILE);
  const catalog = SqliteCatalog.openOwn(path);
  await untilDeath(process, () =>
    rebuildAndReplace({
      catalog: mortalCatalog(catalog, process),
      repositories: [{ name: NEAR, driver }],
      clusters: [MAIN],
      signal: new AbortController().signal,
    }),
  );
  return async () => {
    // Already closed where it died between the old catalog and the new one.
    await catalog.close().catch(() => undefined);
  };
}

async function withDisk(work: (disk: Disk) => Promise<void>): Promise<void> {
  const disk = new Disk(newDirectory('state'), FILLED_BY_SQLITE);
  copyFileSync(template, join(disk.root, FILE));
  await watchFiles(disk);
  try {
    await work(disk);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

/** What the next process finds: a copy, so that the dead one's connections cannot change it when they are closed. */
async function left(disk: Disk, aftermath: Aftermath, release: () => Promise<void>): Promise<string> {
  disk.suffer(aftermath);
  const directory = newDirectory('left');
  disk.copyTo(directory);
  rmSync(join(directory, `${FILE}-shm`), { force: true });
  await release();
  return directory;
}

async function dieAndGoOn(aftermath: Aftermath, process: MortalProcess): Promise<void> {
  await withDisk(async (disk) => {
    const release = await rebuild(disk, process);
    const directory = await left(disk, aftermath, release);
    expect(existsSync(join(directory, FILE))).toBe(true);
    expect([before, after]).toContainEqual(await stored(directory));
    expect(readdirSync(directory)).toEqual([FILE]);
    await goOn(directory);
  });
}

async function goOn(directory: string): Promise<void> {
  const disk = new Disk(directory, FILLED_BY_SQLITE);
  await watchFiles(disk);
  try {
    const release = await rebuild(disk, new MortalProcess());
    const end = await left(disk, 'nothing unsynced', release);
    expect(await stored(end)).toEqual(after);
    removeDirectory(end);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

describe('a rebuild of the catalog that dies at any step', () => {
  it.each(AFTERMATHS)('leaves the old catalog or the new one, and is begun again: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process));
  });
});
