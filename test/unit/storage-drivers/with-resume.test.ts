import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, WaldenError } from '../../../src/errors.ts';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { driverWithResumption } from '../../../storage-drivers/with-resume.ts';
import { collect, keysOf, store } from '../../support/bodies.ts';

const KEY = objectKey('key');
const CONTENT = Buffer.from('0123456789'.repeat(10));

interface Cut {
  /** What a connection gives before it is lost: bytes of a download, objects of a listing. */
  readonly afterItems: number;
  readonly code?: ErrorCode;
}

/** A store whose connections are cut, each after some items. */
function cut(
  memory: MemoryDriver,
  { afterItems, code = 'STORAGE_UNAVAILABLE' }: Cut,
): StorageDriver & { calls: number } {
  async function* some<Item>(source: AsyncIterable<Item>): AsyncGenerator<Item> {
    let left = afterItems;
    for await (const item of source) {
      if (left === 0) throw new WaldenError(code, 'cut');
      left -= 1;
      yield item;
    }
  }
  async function* byteByByte(source: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of source as AsyncIterable<Buffer>) for (const byte of chunk) yield Buffer.of(byte);
  }
  return {
    calls: 0,
    type: 'cut',
    features: memory.features,
    put: memory.put.bind(memory),
    stat: memory.stat.bind(memory),
    remove: memory.remove.bind(memory),
    close: memory.close.bind(memory),
    async get(key, options) {
      this.calls += 1;
      return Readable.from(some(byteByByte(await memory.get(key, options))), { objectMode: false });
    },
    async *list(prefix, options) {
      this.calls += 1;
      yield* some(memory.list(prefix, options));
    },
  };
}

async function filled(): Promise<MemoryDriver> {
  const memory = new MemoryDriver();
  await store(memory, KEY, CONTENT.toString());
  return memory;
}

describe('a download that is cut off', () => {
  it.each([{}, { offset: 7 }, { offset: 7, length: 80 }])('goes on where it was, of %o', async (range) => {
    const driver = cut(await filled(), { afterItems: 30 });
    const found = await collect(await driverWithResumption(driver).get(KEY, range));
    const { offset = 0, length = CONTENT.length - offset } = range;
    expect(found.toString()).toBe(CONTENT.subarray(offset, offset + length).toString());
    expect(driver.calls).toBe(Math.ceil(length / 30));
  });

  it('is whole when it was cut behind its last byte', async () => {
    const driver = cut(await filled(), { afterItems: 30 });
    driver.get = async (key, options) => {
      driver.calls += 1;
      const bytes = await collect(await (await filled()).get(key, options));
      return Readable.from(
        (function* () {
          yield bytes;
          throw new WaldenError('STORAGE_UNAVAILABLE', 'cut');
        })(),
        { objectMode: false },
      );
    };
    const found = await collect(await driverWithResumption(driver).get(KEY, { offset: 0, length: CONTENT.length }));
    expect(found.equals(CONTENT)).toBe(true);
    expect(driver.calls).toBe(1);
  });

  it('is given up when nothing comes any more', async () => {
    const driver = cut(await filled(), { afterItems: 0 });
    const reading = collect(await driverWithResumption(driver).get(KEY));
    await expect(reading).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(driver.calls).toBe(4);
  });

  it('is not taken up again after what no attempt can mend', async () => {
    for (const code of ['STORAGE_DENIED', 'INTERRUPTED'] as const) {
      const driver = cut(await filled(), { afterItems: 30, code });
      await expect(collect(await driverWithResumption(driver).get(KEY))).rejects.toMatchObject({ code });
      expect(driver.calls).toBe(1);
    }
  });
});

describe('a listing that is cut off', () => {
  const keys = ['a/1', 'a/2', 'a/3', 'a/4', 'a/5'];

  async function listed(cutAt: Cut): Promise<StorageDriver & { calls: number }> {
    const memory = new MemoryDriver();
    for (const key of keys) await store(memory, key, key);
    return cut(memory, cutAt);
  }

  it('goes on behind the last key that it gave', async () => {
    const driver = await listed({ afterItems: 2 });
    expect(await keysOf(driverWithResumption(driver), 'a/')).toEqual(keys);
    expect(driver.calls).toBe(3);
  });

  it('fails where nothing came, or nothing can be mended', async () => {
    for (const cutAt of [{ afterItems: 0 }, { afterItems: 2, code: 'STORAGE_DENIED' }] as const) {
      const driver = await listed(cutAt);
      await expect(keysOf(driverWithResumption(driver), 'a/')).rejects.toBeInstanceOf(WaldenError);
      expect(driver.calls).toBe(1);
    }
  });
});
