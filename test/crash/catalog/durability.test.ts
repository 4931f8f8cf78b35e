import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { IDENTITY, MAIN, NEAR, segmentRow } from '../../support/catalog-rows.ts';
import { Disk } from '../../support/crash/disk.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { fsyncError, spyOnFsync } from '../../support/fsync-calls.ts';
import { newDirectory } from '../../support/sandbox.ts';

const FILE = 'catalog.sqlite';

afterEach(() => {
  vi.restoreAllMocks();
});

it('what the catalog has recorded stands in it after a loss of power', async () => {
  // SQLite writes its log by itself, and leaves it to the catalog to make it durable.
  const disk = new Disk(newDirectory('disk'), /catalog\.sqlite-wal$/);
  await watchFiles(disk);
  try {
    const catalog = SqliteCatalog.open(join(disk.root, FILE));
    const row = segmentRow(3);
    await catalog.recordWalFile(row);
    const after = newDirectory('after');
    disk.suffer('nothing unsynced');
    disk.copyTo(after);
    const next = SqliteCatalog.open(join(after, FILE));
    expect(await next.walFile(NEAR, MAIN, row.name)).toMatchObject({ name: row.name });
    await next.close();
    await catalog.close();
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
});

it('a change that is there already, from an attempt whose fsync failed, is made durable before it counts', async () => {
  const directory = newDirectory('catalog');
  const catalog = SqliteCatalog.open(join(directory, FILE));
  await catalog.recordWalFile(segmentRow(1));
  const sync = await spyOnFsync();
  sync.mockRejectedValueOnce(fsyncError());
  await expect(catalog.registerCluster(MAIN, IDENTITY)).rejects.toMatchObject({ code: 'LOCAL_IO' });
  expect(await catalog.registerCluster(MAIN, IDENTITY)).toBe('known');
  const after = newDirectory('after');
  cpSync(join(directory, FILE), join(after, FILE));
  const next = SqliteCatalog.open(join(after, FILE));
  expect(await next.clusterIdentity(MAIN)).toEqual(IDENTITY);
  await next.close();
  await catalog.close();
});

it('what an fsync that failed left out is written anew before the next change counts as durable', async () => {
  const directory = newDirectory('catalog');
  const catalog = SqliteCatalog.open(join(directory, FILE));
  await catalog.recordWalFile(segmentRow(1));
  const sync = await spyOnFsync();
  sync.mockRejectedValueOnce(fsyncError());
  await expect(catalog.recordWalFile(segmentRow(2))).rejects.toMatchObject({ code: 'LOCAL_IO' });
  await catalog.recordWalFile(segmentRow(3));
  // The database alone: what the log holds may have been lost by the disk.
  const after = newDirectory('after');
  cpSync(join(directory, FILE), join(after, FILE));
  const next = SqliteCatalog.open(join(after, FILE));
  for (const segment of [1, 2, 3]) {
    expect(await next.walFile(NEAR, MAIN, segmentRow(segment).name), `${segment}`).toBeDefined();
  }
  await next.close();
  await catalog.close();
});
