import { describe, expect, it } from 'vitest';
import type { Catalog } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { expireRepository } from '../../../src/retention/expire-repository.ts';
import { readBackupRecord } from '../../../src/repository/backup-record.ts';
import { compareCatalogs } from '../../../src/repository/compare-catalogs.ts';
import type { WalFileName } from '../../../src/postgres/wal-name.ts';
import { manifestKey, packKey } from '../../../src/repository/keys.ts';
import { rebuildCatalog } from '../../../src/repository/rebuild-catalog.ts';
import { storedBackups } from '../../../src/repository/stored-backups.ts';
import { viewArchive } from '../../../src/wal/view-archive.ts';
import { recoveryWindows } from '../../../src/wal/windows.ts';
import { findGaps } from '../../../src/wal/gaps.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { MAIN, NEAR } from '../../support/catalog-rows.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { mortalCatalog } from '../../support/crash/mortal-catalog.ts';
import { mortalDriver } from '../../support/crash/mortal-driver.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { CLOCK, fillArchive, IDS, orderOf, placeIn, segmentsIn } from '../../support/expiring.ts';

const signal = new AbortController().signal;
const quiet = { clock: CLOCK, signal, onProgress: () => undefined };
const STAYING = [IDS.held, IDS.third, IDS.last];
const SEGMENTS = [8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20];

function run(catalog: Catalog, driver: MemoryDriver, process: MortalProcess) {
  const place = placeIn(mortalCatalog(catalog, process), mortalDriver(driver, process));
  return untilDeath(process, () => expireRepository(place, orderOf(), quiet));
}

async function rebuilt(driver: MemoryDriver): Promise<Catalog> {
  const catalog = SqliteCatalog.open(':memory:');
  const repositories = [{ name: NEAR, driver }];
  await rebuildCatalog({ repositories, clusters: [MAIN], catalog, signal, note: () => undefined });
  return catalog;
}

/** What is to stay is whole, what counts as a backup is one, and what is promised can be planned. */
async function assertSound(catalog: Catalog, driver: MemoryDriver): Promise<void> {
  const repository = { name: NEAR, driver };
  for await (const { id, complete } of storedBackups(driver, MAIN, signal)) {
    if (!complete) continue;
    const { packs } = await readBackupRecord(repository, MAIN, id);
    for (const key of [...packs.map((_, index) => packKey(MAIN, id, index + 1)), manifestKey(MAIN, id)])
      await driver.stat(key);
  }
  const complete = (await catalog.backups(MAIN)).filter(({ state }) => state === 'complete');
  for (const { id } of complete) await readBackupRecord(repository, MAIN, id);
  expect(complete.map(({ id }) => id)).toEqual(expect.arrayContaining(STAYING));
  for await (const file of catalog.walFiles(NEAR, MAIN)) {
    if (SEGMENTS.includes(Number(file.segment)) || file.kind === 'history') await driver.stat(file.key);
  }
  expect(await segmentsIn(catalog)).toEqual(expect.arrayContaining(SEGMENTS));
  const archive = (await viewArchive(catalog, MAIN, NEAR))!;
  // What is marked as removed is planned with no more, even where it is still there.
  for (const { timeline, first, last } of archive.ranges) {
    for (let number = first; number <= last; number += 1n) {
      const name = `${timeline.toString().padStart(8, '0')}${'0'.repeat(8)}${number.toString(16).toUpperCase().padStart(8, '0')}`;
      await driver.stat((await catalog.walFile(NEAR, MAIN, name as WalFileName))!.key);
    }
  }
  expect(findGaps(archive)).toEqual([]);
}

async function assertDone(catalog: Catalog, driver: MemoryDriver): Promise<void> {
  await assertSound(catalog, driver);
  expect((await catalog.backups(MAIN)).map(({ id, state }) => [id, state])).toEqual(
    STAYING.map((id) => [id, 'complete']),
  );
  expect(await segmentsIn(catalog)).toEqual(SEGMENTS);
  const keys: string[] = [];
  for await (const { key } of driver.list('')) keys.push(key);
  expect(keys.filter((key) => key.includes('/expired/'))).toHaveLength(1);
  expect(keys.filter((key) => /base\/20270115T08000[01]|20270110|backup\.zst/.test(key))).toEqual([]);
  expect(keys.filter((key) => key.includes('/wal/'))).toHaveLength(SEGMENTS.length + 1);
  const windows = recoveryWindows((await viewArchive(catalog, MAIN, NEAR))!);
  expect(windows).toMatchObject([{ timeline: 1, backup: { id: IDS.third }, holes: [], points: [{ id: IDS.held }] }]);
  // The repository alone says the same.
  const other = await rebuilt(driver);
  const places = { repositories: [{ name: NEAR, driver }], clusters: [MAIN] };
  expect(await compareCatalogs({ before: catalog, after: other, ...places })).toEqual([]);
  await other.close();
}

describe('removing what retention does not keep', () => {
  it('dies at any step, leaves what is kept whole, and is completed by the next run', async () => {
    const deaths = await atEveryStep(async (process) => {
      const [catalog, driver] = [SqliteCatalog.open(':memory:'), new MemoryDriver()];
      await fillArchive(catalog, driver);
      await run(catalog, driver, process);
      await assertSound(catalog, driver);
      expect(await run(catalog, driver, new MortalProcess())).toBeDefined();
      await assertDone(catalog, driver);
      const again = await run(catalog, driver, new MortalProcess());
      expect(again?.done).toEqual({ backups: [], walFiles: 0, leftovers: 0, refused: [] });
      await catalog.close();
    });
    // Nine segments, a backup history file, two backups of five objects, and what was left.
    expect(deaths).toBeGreaterThanOrEqual(10 * 2 + 2 * (4 + 2) + 3);
  });

  it('is completed too when the catalog was lost with the process', async () => {
    await atEveryStep(async (process) => {
      const [catalog, driver] = [SqliteCatalog.open(':memory:'), new MemoryDriver()];
      await fillArchive(catalog, driver);
      await run(catalog, driver, process);
      await catalog.close();
      const other = await rebuilt(driver);
      await assertSound(other, driver);
      expect(await run(other, driver, new MortalProcess())).toBeDefined();
      await assertDone(other, driver);
      await other.close();
    });
  });
});
