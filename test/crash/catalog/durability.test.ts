import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { MAIN, NEAR, segmentRow } from '../../support/catalog-rows.ts';
import { Disk } from '../../support/crash/disk.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { newDirectory } from '../../support/sandbox.ts';

const FILE = 'catalog.sqlite';

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
