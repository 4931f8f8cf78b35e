import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import { readSmallPart } from '../../../src/repository/object-bytes.ts';
import type { ObjectFile, StorageDriver } from '../../../storage-drivers/driver.ts';
import { LocalDriver } from '../../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { store } from '../../support/bodies.ts';
import { newDirectory } from '../../support/sandbox.ts';

const KEY = objectKey('main/key');

describe('a small part of an object', () => {
  const stores: StorageDriver[] = [];
  afterEach(async () => {
    for (const driver of stores.splice(0)) await driver.close();
  });

  async function local(): Promise<StorageDriver> {
    const root = newDirectory('store');
    const driver = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
    stores.push(driver);
    return driver;
  }

  it.each([
    ['a file of this host', local],
    ['another store', () => Promise.resolve(new MemoryDriver())],
  ])('is read from %s', async (_, openStore) => {
    const driver = await openStore();
    await store(driver, KEY, '0123456789');
    expect((await readSmallPart(driver, KEY, { offset: 2, length: 5 })).toString()).toBe('23456');
    await expect(readSmallPart(driver, KEY, { offset: 8, length: 5 })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    const none = readSmallPart(driver, objectKey('none'), { offset: 0, length: 1 });
    await expect(none).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
  });

  /** A store whose file is what the test says. */
  function withFile(file: ObjectFile): StorageDriver {
    return { openFile: () => Promise.resolve(file) } as unknown as StorageDriver;
  }

  it('says what the disk said, and closes the file', async () => {
    let closed = 0;
    const handle = await open('/');
    const close = async (): Promise<void> => {
      closed += 1;
      await handle.close();
    };
    const driver = withFile({ descriptor: handle.fd, offset: 0, length: 4, close });
    const reading = readSmallPart(driver, KEY, { offset: 0, length: 4 });
    await expect(reading).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining('EISDIR') as string,
    });
    expect(closed).toBe(1);
  });

  it('is given up when the disk hangs, and its file is not closed before the read has ended', async () => {
    const path = join(newDirectory('pipe'), 'pipe');
    execFileSync('mkfifo', [path]);
    // Opened for both, so that a read of it waits until something is written.
    const handle = await open(path, 'r+');
    let closed = false;
    let tell = (): void => undefined;
    const closing = new Promise<void>((resolve) => (tell = resolve));
    const close = (): Promise<void> => {
      closed = true;
      tell();
      return Promise.resolve();
    };
    const late = (): Error => new WaldenError('STORAGE_UNAVAILABLE', 'too late');
    const driver = withFile({
      descriptor: handle.fd,
      offset: -1,
      length: 4,
      readDeadline: { ms: 20, late },
      close,
    });
    await expect(readSmallPart(driver, KEY, { offset: 0, length: 4 })).rejects.toThrow('too late');
    expect(closed).toBe(false);
    await handle.write('done');
    await closing;
    await handle.close();
  });
});
