import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { BackupId, Catalog } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import type { CopyDeps } from '../../../src/copy/copy-deps.ts';
import { copyWalFile } from '../../../src/copy/copy-wal-file.ts';
import { repairRepository } from '../../../src/copy/repair-repository.ts';
import { syncRepository, type SyncResult } from '../../../src/copy/sync-repository.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { ServiceInstance } from '../../../src/repository/backup-claim.ts';
import { readBackupRecord } from '../../../src/repository/backup-record.ts';
import { backupClaimKey, backupRecordKey, manifestKey, packKey } from '../../../src/repository/keys.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { storedBackups } from '../../../src/repository/stored-backups.ts';
import type { WalFileName } from '../../../src/postgres/wal-name.ts';
import type { ObjectKey, Sha256Hex, StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { FAR, IDENTITY, MAIN, NEAR } from '../../support/catalog-rows.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { mortalCatalog } from '../../support/crash/mortal-catalog.ts';
import { mortalDriver } from '../../support/crash/mortal-driver.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { sameThreadPool } from '../../support/crash/same-thread-pool.ts';
import { GeneratedRepository } from '../../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';

const [FIRST, SECOND] = ['20261122T021500F', '20261123T021500F'] as BackupId[] as [BackupId, BackupId];
const signal = new AbortController().signal;
const quiet = { signal, onProgress: () => undefined };

interface Stores {
  readonly catalog: Catalog;
  readonly near: MemoryDriver;
  readonly far: MemoryDriver;
}

/** A full repository, and an empty one. */
async function twoStores(): Promise<Stores> {
  const catalog = SqliteCatalog.open(':memory:');
  const [near, far] = [new MemoryDriver(), new MemoryDriver()];
  const source = new GeneratedRepository({ name: NEAR, driver: near }, catalog);
  await source.begin();
  await source.addSegments(1, [1, 2, 3, 4, 5]);
  await source.addWal('00000002.history');
  await source.addWholeBackup(FIRST, 1, 2);
  await source.addWholeBackup(SECOND, 3, 4);
  return { catalog, near, far };
}

function depsOf(catalog: Catalog, stagingDirectory: string): CopyDeps {
  const instance = 'test' as ServiceInstance;
  return { catalog, pool: sameThreadPool(), clock: systemClock, instance, stagingDirectory };
}

function sync(
  { catalog, near, far }: Stores,
  process: MortalProcess,
  staging: string,
): Promise<SyncResult | undefined> {
  const way = { from: { name: NEAR, driver: near }, to: { name: FAR, driver: mortalDriver(far, process) } };
  return untilDeath(process, () =>
    syncRepository(depsOf(mortalCatalog(catalog, process), staging), { ...way, clusters: [MAIN] }, quiet),
  );
}

/** Every object by key, but for claims, which name whose copy it is. */
async function contentOf(driver: StorageDriver): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { key } of driver.list('')) {
    if (key.endsWith('/claim.json')) continue;
    const chunks: Buffer[] = [];
    for await (const chunk of (await driver.get(key)) as AsyncIterable<Buffer>) chunks.push(chunk);
    found.set(key, Buffer.concat(chunks).toString('latin1'));
  }
  return found;
}

/** What the catalog says of a repository is true of it, and what counts as a backup there is one, with its WAL. */
async function assertSound({ catalog }: Stores, { name, driver }: Repository): Promise<void> {
  for await (const file of catalog.walFiles(name, MAIN)) {
    expect(await driver.stat(file.key)).toMatchObject({ size: file.storedBytes });
  }
  for (const backup of await catalog.backups(MAIN)) {
    if (backup.repository === name && backup.state === 'complete') await driver.stat(backupRecordKey(MAIN, backup.id));
  }
  for await (const { id, complete } of storedBackups(driver, MAIN, signal)) {
    if (!complete) continue;
    const { packs } = await readBackupRecord({ name, driver }, MAIN, id);
    for (const key of [...packs.map((_, index) => packKey(MAIN, id, index + 1)), manifestKey(MAIN, id)])
      await driver.stat(key);
    const [from, to] = id === FIRST ? [1n, 2n] : [3n, 4n];
    const ranges = await catalog.walRanges(name, MAIN);
    expect(ranges.some(({ first, last }) => first <= from && to <= last)).toBe(true);
  }
}

describe('copying a repository into another', () => {
  it('dies at any step, leaves nothing that is not true, and goes on from there', async () => {
    const staging = newDirectory('staging');
    const deaths = await atEveryStep(async (process) => {
      const stores = await twoStores();
      await sync(stores, process, staging);
      await assertSound(stores, { name: FAR, driver: stores.far });
      const rest = await sync(stores, new MortalProcess(), staging);
      expect(rest).toBeDefined();
      expect(await contentOf(stores.far)).toEqual(await contentOf(stores.near));
      await assertSound(stores, { name: FAR, driver: stores.far });
      expect((await stores.catalog.backups(MAIN)).filter(({ state }) => state !== 'complete')).toEqual([]);
      expect(await sync(stores, new MortalProcess(), staging)).toEqual({ walFiles: 0, backups: 0, bytes: 0 });
      expect(readdirSync(staging)).toEqual([]);
      await stores.catalog.close();
    });
    // Six WAL files, two backups of a claim, two packs, a manifest and a record, with their rows; two of the cluster.
    expect(deaths).toBeGreaterThanOrEqual(6 * 2 + 2 * 6 + 2);
    removeDirectory(staging);
  });

  it('copies only what began since then, with its WAL', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    const { start } = await readBackupRecord({ name: NEAR, driver: stores.near }, MAIN, SECOND);
    const way = { from: { name: NEAR, driver: stores.near }, to: { name: FAR, driver: stores.far } };
    const order = { ...way, clusters: [MAIN], since: start.startedAt };
    // Both were made to begin at one moment: it is the second's WAL that tells.
    await stores.near.remove(backupRecordKey(MAIN, FIRST));
    expect(await syncRepository(depsOf(stores.catalog, staging), order, quiet)).toMatchObject({
      walFiles: 4,
      backups: 1,
    });
    expect(await stores.catalog.walRanges(FAR, MAIN)).toMatchObject([{ first: 3n, last: 5n }]);
    removeDirectory(staging);
  });

  it('names what is damaged or other there, and copies all the rest', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    await overwrite(stores.near, packKey(MAIN, FIRST, 2), (bytes) => bytes.reverse());
    await overwrite(stores.near, segmentKey('000000010000000000000005'), (bytes) => bytes.subarray(0, -1));
    const outcome = await sync(stores, new MortalProcess(), staging).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ message: expect.stringMatching(/^2 objects could not be copied/) as string });
    expect(await contentOf(stores.far)).toSatisfy(
      (content: ReadonlyMap<string, string>) => !content.has(backupRecordKey(MAIN, FIRST)),
    );
    await stores.far.stat(backupRecordKey(MAIN, SECOND));
    expect(await stores.catalog.walRanges(FAR, MAIN)).toMatchObject([{ first: 1n, last: 4n }]);
    removeDirectory(staging);
  });

  it('copies no backup whose WAL is not all there', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    await stores.near.remove(segmentKey('000000010000000000000004'));
    await expect(sync(stores, new MortalProcess(), staging)).rejects.toMatchObject({ code: 'ARCHIVE_GAP' });
    expect((await contentOf(stores.far)).has(backupRecordKey(MAIN, SECOND))).toBe(false);
    await stores.far.stat(backupRecordKey(MAIN, FIRST));
    removeDirectory(staging);
  });

  it('copies no WAL file that is sound but not the one that was archived', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    const record = (await stores.catalog.walFile(NEAR, MAIN, '000000010000000000000001' as WalFileName))!;
    const other = { ...record, sha256: 'ab'.repeat(32) as Sha256Hex };
    const way = { from: { name: NEAR, driver: stores.near }, to: { name: FAR, driver: stores.far } };
    const place = { cluster: MAIN, identity: IDENTITY };
    await expect(copyWalFile(depsOf(stores.catalog, staging), place, way, other, { signal })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
    expect(await contentOf(stores.far)).toEqual(new Map());
    removeDirectory(staging);
  });

  it('never takes what another service copies for whole before it has looked', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    const other = new GeneratedRepository({ name: FAR, driver: stores.far }, stores.catalog);
    await other.put(backupClaimKey(MAIN, FIRST), Buffer.from('somebody'));
    await other.put(packKey(MAIN, FIRST, 1), Buffer.from(`pack 1 of ${FIRST.toLowerCase()}`));
    await expect(sync(stores, new MortalProcess(), staging)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    removeDirectory(staging);
  });
});

describe('repairing a repository by another', () => {
  it('dies at any step, and is begun again until everything is right', async () => {
    const staging = newDirectory('staging');
    await atEveryStep(async (process) => {
      const stores = await twoStores();
      await sync(stores, new MortalProcess(), staging);
      const whole = await contentOf(stores.far);
      await overwrite(stores.far, packKey(MAIN, FIRST, 2), (bytes) => bytes.reverse());
      await overwrite(stores.far, backupRecordKey(MAIN, SECOND), (bytes) => bytes.subarray(1));
      await overwrite(stores.far, segmentKey('000000010000000000000002'), (bytes) => bytes.subarray(0, -1));
      await stores.far.remove(segmentKey('000000010000000000000004'));
      const first = await repair(stores, process, staging);
      if (first !== undefined) expect(first).toMatchObject({ repaired: 4 });
      const second = await repair(stores, new MortalProcess(), staging);
      expect(second?.objects).toBe(
        6 + 2 * 3 + (second?.repairedKeys.includes(backupRecordKey(MAIN, SECOND)) === true ? 1 : 0),
      );
      expect(await contentOf(stores.far)).toEqual(whole);
      expect(readdirSync(staging)).toEqual([]);
      await stores.catalog.close();
    });
    removeDirectory(staging);
  });

  it('names what nobody has a good copy of', async () => {
    const staging = newDirectory('staging');
    const stores = await twoStores();
    await sync(stores, new MortalProcess(), staging);
    const key = packKey(MAIN, FIRST, 2);
    for (const store of [stores.near, stores.far]) await overwrite(store, key, (bytes) => bytes.reverse());
    const outcome = await repair(stores, new MortalProcess(), staging).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: 'CHECKSUM_MISMATCH', message: expect.stringContaining(key) as string });
    removeDirectory(staging);
  });

  function repair(
    { catalog, near, far }: Stores,
    process: MortalProcess,
    staging: string,
  ): ReturnType<typeof repairRepository> | Promise<undefined> {
    const order = {
      target: { name: FAR, driver: mortalDriver(far, process) },
      sources: [{ name: NEAR, driver: near }],
      clusters: [{ cluster: MAIN, identity: IDENTITY }],
    };
    return untilDeath(process, () =>
      repairRepository(depsOf(mortalCatalog(catalog, process), staging), order, quiet),
    ) as ReturnType<typeof repairRepository>;
  }
});

function segmentKey(name: string): ObjectKey {
  return `main/wal/${name.slice(0, 8)}/${name.slice(8, 16)}/${name}.zst` as ObjectKey;
}

async function overwrite(driver: MemoryDriver, key: ObjectKey, change: (bytes: Buffer) => Buffer): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of (await driver.get(key)) as AsyncIterable<Buffer>) chunks.push(chunk);
  const store = new GeneratedRepository({ name: FAR, driver }, SqliteCatalog.open(':memory:'));
  await store.put(key, change(Buffer.concat(chunks)));
}
