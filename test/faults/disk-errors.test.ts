import fs, { chmodSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPackControl } from '../../src/backup/pack-input.ts';
import { packFiles } from '../../src/backup/pack-files-task.ts';
import { createTextRoom } from '../../src/platform/shared-text.ts';
import { microsFromDate } from '../../src/postgres/timestamp.ts';
import { parseWalName, type WalFileName } from '../../src/postgres/wal-name.ts';
import { walKey } from '../../src/repository/keys.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { archiveWalFile, hashFile } from '../../src/wal/archive-task.ts';
import { WalFetcher } from '../../src/wal/fetch.ts';
import { storeWalFile } from '../../src/wal/store.ts';
import { localError } from '../../storage-drivers/local/local-errors.ts';
import { exactly } from '../../storage-drivers/exact-stream.ts';
import { newDirectory } from '../support/sandbox.ts';
import { createWalPool, MAIN, openLocalRepository, setUpWal, type WalSetup } from '../support/wal-setup.ts';

const pool = createWalPool();
afterAll(() => pool.close());

/** As the kernel says it: a sector that cannot be read, a directory that was closed. */
function systemError(code: 'EIO' | 'ENOSPC', syscall: string): NodeJS.ErrnoException {
  const errno = code === 'EIO' ? -5 : -28;
  return Object.assign(new Error(`${code}: ${syscall} failed`), { code, errno, syscall });
}

const real = { readSync: fs.readSync };
function breakCalls(calls: Partial<typeof real>): void {
  Object.assign(fs, calls);
  syncBuiltinESMExports();
}

const failing = (code: 'EIO' | 'ENOSPC', syscall: string) => () => {
  throw systemError(code, syscall);
};

let repository: Repository;
let setup: WalSetup;
let name: WalFileName;
let source: string;
beforeEach(async () => {
  repository = await openLocalRepository('local');
  setup = await setUpWal(pool, [repository]);
  name = setup.segment(3n);
  source = join(setup.dataDirectory, 'pg_wal', name);
});
afterEach(() => {
  breakCalls(real);
});

describe('a disk that fails under the data directory', () => {
  const archive = (staged: string): unknown => {
    const { identity, clock } = setup.context;
    const archivedAt = microsFromDate(clock.now());
    return archiveWalFile({ source, name, identity, compressionLevel: 1, archivedAt, into: staged });
  };

  it('is told with the path of the WAL file, and leaves nothing staged', () => {
    const directory = newDirectory('staged');
    breakCalls({ readSync: failing('EIO', 'read') });
    const message = `unable to read ${source} (EIO)`;
    expect(() => archive(join(directory, 'x'))).toThrow(
      expect.objectContaining({ code: 'LOCAL_IO', message }) as Error,
    );
    expect(() => hashFile({ source })).toThrow(expect.objectContaining({ code: 'LOCAL_IO', message }) as Error);
    breakCalls(real);
    expect(readdirSync(directory)).toEqual([]);
    archive(join(directory, 'x'));
    expect(readdirSync(directory)).toEqual(['x']);
  });

  it.each([
    ['EIO', 'LOCAL_IO'],
    ['ENOSPC', 'STORAGE_FULL'],
  ] as const)('or says %s only when the staged file is made durable, stores nothing', async (failure, code) => {
    const directory = repository.driver.features.stagingDirectory!;
    const handle = await open(source);
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'sync');
    await handle.close();
    sync.mockRejectedValueOnce(systemError(failure, 'fsync'));
    const message = `unable to stage ${name} in ${directory} (${failure})`;
    const file = parseWalName(name);
    await expect(storeWalFile(setup.context, file, source)).rejects.toMatchObject({ code, message });
    sync.mockRestore();
    expect(readdirSync(directory)).toEqual([]);
    await expect(repository.driver.stat(walKey(MAIN, file))).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    await storeWalFile(setup.context, file, source);
  });

  it('fails a backup by the name of the file', () => {
    const pack = join(newDirectory('pack'), '1.tar.zst');
    const members = [{ type: 'file', path: 'base/5/1', source }] as const;
    const room = createTextRoom();
    const input = { pack, packNumber: 1, offset: 0, compressionLevel: 1, members, pages: undefined, room };
    breakCalls({ readSync: failing('EIO', 'read') });
    expect(() => packFiles({ ...input, control: createPackControl().buffer })).toThrow(
      expect.objectContaining({ code: 'LOCAL_IO', message: expect.stringContaining(source) as string }) as Error,
    );
  });
});

describe('a disk that fails under a repository', () => {
  /** The first bytes come, then the disk fails. */
  function failingReads({ name: own, driver }: Repository): Repository {
    const get: typeof driver.get = async (key) => {
      const { size } = await driver.stat(key);
      const source = Readable.from(
        (async function* () {
          yield* (await driver.get(key, { offset: 0, length: 100 })) as AsyncIterable<Buffer>;
          throw systemError('EIO', 'read');
        })(),
      );
      return exactly(source, size, key, (error) => localError(error, `read ${key}`));
    };
    const { type, features } = driver;
    const rest = { put: driver.put.bind(driver), stat: driver.stat.bind(driver), list: driver.list.bind(driver) };
    return {
      name: own,
      driver: { type, features, get, ...rest, remove: driver.remove.bind(driver), close: () => driver.close() },
    };
  }

  it('is never taken for an empty one, leaves nothing in the spool, and the next repository serves', async () => {
    const far = await openLocalRepository('far');
    const both = setup.withRepositories([repository, far]);
    await storeWalFile(both, parseWalName(name), source);
    const alone = new WalFetcher(setup.withRepositories([failingReads(repository)]), setup.spool);
    await expect(alone.fetch(name)).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining('(EIO)') as string,
    });
    expect(readdirSync(setup.spool.fetchDirectory)).toEqual([]);
    await alone.stop();
    const fetcher = new WalFetcher(setup.withRepositories([failingReads(repository), far]), setup.spool);
    expect(await fetcher.fetch(name)).toBe('ready');
    expect(readFileSync(setup.spool.prefetchedPath(name))).toEqual(readFileSync(source));
    await fetcher.stop();
  });
});

describe('a permission that is lost', () => {
  const push = (): Promise<void> => storeWalFile(setup.context, parseWalName(name), source);
  const stored = (): Promise<unknown> => setup.catalog.walFile(repository.name, setup.context.cluster, name);

  async function expectToldAndMended(
    path: string,
    mode: number,
    told: { code: string; message: string },
  ): Promise<void> {
    chmodSync(path, mode);
    const message = expect.stringContaining(told.message) as string;
    await expect(push()).rejects.toMatchObject({ code: told.code, message });
    expect(await stored()).toBeUndefined();
    chmodSync(path, 0o700);
    await push();
    expect(await stored()).toBeDefined();
  }

  it('on the WAL of the data directory is told with its path, and mended by itself', async () => {
    await expectToldAndMended(join(setup.dataDirectory, 'pg_wal'), 0o000, {
      code: 'LOCAL_IO',
      message: `unable to open ${source} (EACCES)`,
    });
  });

  it('on the staging directory is told with its path, and mended by itself', async () => {
    const staging = repository.driver.features.stagingDirectory!;
    await expectToldAndMended(staging, 0o500, {
      code: 'LOCAL_IO',
      message: `unable to stage ${name} in ${staging} (EACCES)`,
    });
  });

  it('on the repository is told with its path, and mended by itself', async () => {
    const root = join(repository.driver.features.stagingDirectory!, '../..');
    await expectToldAndMended(root, 0o500, { code: 'STORAGE_DENIED', message: `in ${root} (EACCES)` });
  });

  it('is no reason to take what is stored for absent', async () => {
    await push();
    const root = join(repository.driver.features.stagingDirectory!, '../..');
    const fetcher = new WalFetcher(setup.context, setup.spool);
    chmodSync(join(root, 'main'), 0o000);
    await expect(fetcher.fetch(name)).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    await expect(fetcher.fetch(setup.segment(9n))).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    chmodSync(join(root, 'main'), 0o700);
    expect(await fetcher.fetch(name)).toBe('ready');
    await fetcher.stop();
  });
});

describe('a staging directory that somebody tidied away', () => {
  it('is made anew', async () => {
    rmSync(repository.driver.features.stagingDirectory!, { recursive: true });
    await storeWalFile(setup.context, parseWalName(name), source);
    expect(existsSync(repository.driver.features.stagingDirectory!)).toBe(true);
  });

  it('is not made anew below the mount point of a store that is gone', async () => {
    const root = join(repository.driver.features.stagingDirectory!, '../..');
    rmSync(root, { recursive: true });
    await expect(storeWalFile(setup.context, parseWalName(name), source)).rejects.toMatchObject({ code: 'LOCAL_IO' });
    expect(existsSync(root)).toBe(false);
  });
});
