import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { createPackControl, type PackMember } from '../../../src/backup/pack-input.ts';
import { PackWriter } from '../../../src/backup/pack-writer.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { backupId, clusterName, repositoryName } from '../../../src/repository/names.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { keysOf } from '../../support/bodies.ts';
import { fsyncError, spyOnFsync } from '../../support/fsync-calls.ts';
import { newDirectory } from '../../support/sandbox.ts';

const PACK_BYTES = 1024 * 1024;
/** More than the part of a pack after which it is synced, and what no codec makes smaller. */
const FILE_BYTES = 200_000;
const FILES = 4;

describe('a pack that grows', () => {
  const pool = createWorkerPool(new URL('../../support/backup-worker.js', import.meta.url), 1);
  afterAll(() => pool.close());
  afterEach(() => {
    vi.restoreAllMocks();
  });

  function* tasks(): Generator<readonly PackMember[], void, undefined> {
    const root = newDirectory('source');
    for (let index = 0; index < FILES; index += 1) {
      const source = join(root, `${index}`);
      writeFileSync(source, randomBytes(FILE_BYTES));
      yield [{ type: 'file', path: `base/5/${index}`, source }];
    }
  }

  async function write(driver: MemoryDriver): Promise<void> {
    const writer = new PackWriter({
      cluster: clusterName('main'),
      id: backupId('20261128T120000F'),
      repositories: [{ name: repositoryName('memory'), driver }],
      pool,
      compressionLevel: 1,
      directory: newDirectory('staged'),
      packBytes: PACK_BYTES,
      control: createPackControl(),
      signal: new AbortController().signal,
      onPacked: () => undefined,
    });
    await writer.pack(tasks(), 1, undefined);
    await writer.finish([]);
  }

  it('is synced on the way, and once more at its end', async () => {
    const driver = new MemoryDriver();
    const sync = await spyOnFsync();
    await write(driver);
    expect(sync).toHaveBeenCalledTimes(FILES + 1);
    expect(await keysOf(driver)).toEqual(['main/base/20261128T120000F/data/00001.tar.zst']);
  });

  it.each(Array.from({ length: FILES + 1 }, (_, index) => index))(
    'is not stored when the disk said once that it failed, at sync %i',
    async (failing) => {
      const driver = new MemoryDriver();
      const sync = await spyOnFsync();
      for (let index = 0; index < failing; index += 1) sync.mockResolvedValueOnce(undefined);
      sync.mockRejectedValueOnce(fsyncError());
      await expect(write(driver)).rejects.toMatchObject({
        code: 'LOCAL_IO',
        message: expect.stringContaining('unable to write the staged pack') as string,
      });
      expect(await keysOf(driver)).toEqual([]);
    },
  );
});
