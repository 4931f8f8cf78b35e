import { fstatSync, readSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectBody, ObjectFile, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { type FaultMoment, FaultyDriver } from '../../storage-drivers/faulty/faulty-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';

/** A store under test. */
export interface DriverUnderTest {
  readonly driver: StorageDriver;
  readonly end: () => Promise<void>;
}

const KEY = objectKey('main/wal/one');
const MOMENTS: readonly FaultMoment[] = ['before', 'after'];

/**
 * What every store must do; `open` gives a new empty one. `files`: its objects are files of this host. `atomicCreate`: of
 * racing writers one wins; a store whose `createOnlyBytes` is 0 needs a wrapper for that.
 */
export function driverContract(
  what: string,
  open: () => Promise<DriverUnderTest>,
  { files = false, atomicCreate = true }: { readonly files?: boolean; readonly atomicCreate?: boolean } = {},
): void {
  let subject: DriverUnderTest;
  let driver: StorageDriver;

  beforeEach(async () => {
    subject = await open();
    driver = subject.driver;
  });
  afterEach(async () => {
    await driver.close();
    await subject.end();
  });

  describe(`${what}: put`, () => {
    it('stores the bytes whole, the empty object too', async () => {
      await store(driver, 'some', 'thing');
      await store(driver, 'none', '');
      expect(await textOf(driver, 'some')).toBe('thing');
      expect(await textOf(driver, 'none')).toBe('');
      expect(await driver.stat(objectKey('none'))).toEqual({ key: 'none', size: 0 });
    });

    it('leaves the old bytes untouched where the key is taken', async () => {
      await store(driver, KEY, 'old');
      await expect(store(driver, KEY, 'new')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      expect(await textOf(driver, KEY)).toBe('old');
    });

    it.runIf(atomicCreate)('lets exactly one of ten racing writers win, with its own bytes', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, writer) => store(driver, KEY, `writer ${writer}`)),
      );
      const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []));
      expect(winners).toHaveLength(1);
      expect(await textOf(driver, KEY)).toBe(`writer ${winners[0]!}`);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      }
      expect(await keysOf(driver)).toEqual([KEY]);
    });

    it('replaces when asked to, and stores where there was nothing to replace', async () => {
      await driver.put(KEY, bodyOf('first and longer'), { ifExists: 'replace' });
      await driver.put(KEY, bodyOf('second'), { ifExists: 'replace' });
      expect(await textOf(driver, KEY)).toBe('second');
      expect(await keysOf(driver)).toEqual([KEY]);
    });

    it.each(['fail', 'replace'] as const)('shows nothing of a body that lies (%s)', async (ifExists) => {
      const honest = bodyOf('honest');
      const lies: readonly ObjectBody[] = [
        { ...honest, size: honest.size + 1 },
        { ...honest, size: honest.size - 1 },
        { ...honest, sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) },
      ];
      for (const body of lies) {
        await expect(driver.put(KEY, body, { ifExists })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      }
      expect(await keysOf(driver)).toEqual([]);
      await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    });

    it('keeps the old object when the body that should replace it lies', async () => {
      await store(driver, KEY, 'old');
      const body = { ...bodyOf('new'), sha256: () => Promise.resolve('0'.repeat(64) as Sha256Hex) };
      await expect(driver.put(KEY, body, { ifExists: 'replace' })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      expect(await textOf(driver, KEY)).toBe('old');
    });

    it('takes no key that could leave the repository', async () => {
      for (const key of ['../x', 'a/../x', '/x', 'x/', 'a//b', '', '.', 'ä', 'a b', 'x'.repeat(1025)]) {
        const put = driver.put(key as typeof KEY, bodyOf('x'), { ifExists: 'fail' });
        await expect(put).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
      }
      expect(await keysOf(driver)).toEqual([]);
    });
  });

  if (files) {
    describe(`${what}: openFile`, () => {
      async function opened(options?: { readonly offset?: number; readonly length?: number }): Promise<ObjectFile> {
        const opening = driver.openFile?.(KEY, options);
        if (opening === undefined) throw new Error('this store opens no files');
        return await opening;
      }

      /** What a worker would read of it. */
      async function read(options?: { readonly offset?: number; readonly length?: number }): Promise<string> {
        const file = await opened(options);
        const bytes = Buffer.alloc(file.length);
        readSync(file.descriptor, bytes, 0, file.length, file.offset);
        await file.close();
        return bytes.toString();
      }

      it('gives the same bytes as get', async () => {
        await driver.put(KEY, bodyOf('0123456789'), { ifExists: 'fail' });
        expect(await read()).toBe('0123456789');
        expect(await read({ offset: 2, length: 3 })).toBe('234');
        expect(await read({ offset: 10 })).toBe('');
        await expect(read({ offset: 8, length: 3 })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      });

      it('says what is missing as get does', async () => {
        await expect(opened()).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
      });

      it('leaves nothing open when it is closed', async () => {
        await driver.put(KEY, bodyOf('x'), { ifExists: 'fail' });
        const file = await opened();
        await file.close();
        expect(() => fstatSync(file.descriptor)).toThrow('EBADF');
      });
    });
  }

  describe(`${what}: get`, () => {
    it('gives any range', async () => {
      await store(driver, KEY, '0123456789');
      const range = async (offset?: number, length?: number): Promise<string> => {
        const options = { ...(offset === undefined ? {} : { offset }), ...(length === undefined ? {} : { length }) };
        return (await collect(await driver.get(KEY, options))).toString();
      };
      expect(await range(3, 4)).toBe('3456');
      expect(await range(7)).toBe('789');
      expect(await range(undefined, 2)).toBe('01');
      expect(await range(4, 0)).toBe('');
      expect(await range(10)).toBe('');
    });

    it('fails with STORAGE_SIZE where the range reaches beyond the end', async () => {
      await store(driver, KEY, '0123456789');
      const read = async (): Promise<Buffer> => await collect(await driver.get(KEY, { offset: 8, length: 3 }));
      await expect(read()).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    });

    it('gives an object of many chunks byte for byte', async () => {
      const bytes = Buffer.alloc(3 * 1024 * 1024 + 17, 'walden');
      await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
      const found = await collect(await driver.get(KEY));
      expect(sha256Of(found)).toBe(sha256Of(bytes));
    });
  });

  describe(`${what}: a key that is not there`, () => {
    it('is STORAGE_OBJECT_MISSING, below an object and below nothing alike', async () => {
      await store(driver, 'a/object', 'x');
      for (const key of ['none', 'a/none', 'b/c/d'].map(objectKey)) {
        await expect(driver.get(key)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
        await expect(driver.stat(key)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
      }
      const below = objectKey('a/object/below');
      await expect(driver.get(below)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    });
  });

  describe(`${what}: list`, () => {
    it('gives each key once in ascending byte order', async () => {
      const keys = ['b/c/d', 'a0', 'a/b', 'a.b', '_', 'a/Z', 'a-b', 'b.c', 'a/b.c', 'B', 'b-c/x', 'b/c.d'];
      for (const key of keys) await store(driver, key, key);
      const expected = ['B', '_', 'a-b', 'a.b', 'a/Z', 'a/b', 'a/b.c', 'a0', 'b-c/x', 'b.c', 'b/c.d', 'b/c/d'];
      expect(await keysOf(driver)).toEqual(expected);
    });

    it('gives exactly what begins with the prefix, also in the middle of a name', async () => {
      for (const key of ['main/wal/1', 'main/wal/2', 'main/walker', 'mainly', 'other/wal/1']) {
        await store(driver, key, key);
      }
      expect(await keysOf(driver, 'main/wal/')).toEqual(['main/wal/1', 'main/wal/2']);
      expect(await keysOf(driver, 'main/wal')).toEqual(['main/wal/1', 'main/wal/2', 'main/walker']);
      expect(await keysOf(driver, 'main/wal/2')).toEqual(['main/wal/2']);
      expect(await keysOf(driver, 'main/wal/2/')).toEqual([]);
      expect(await keysOf(driver, 'zebra')).toEqual([]);
    });

    it('gives what is behind a key, be it there or not', async () => {
      for (const key of ['a/1', 'a/2', 'a/3', 'b/1']) await store(driver, key, key);
      const behind = async (prefix: string, after: string): Promise<readonly string[]> => {
        const keys: string[] = [];
        for await (const { key } of driver.list(prefix, { after: objectKey(after) })) keys.push(key);
        return keys;
      };
      expect(await behind('', 'a/2')).toEqual(['a/3', 'b/1']);
      expect(await behind('a/', 'a/2')).toEqual(['a/3']);
      expect(await behind('', 'a/2.5')).toEqual(['a/3', 'b/1']);
      expect(await behind('a/', 'a/3')).toEqual([]);
      expect(await behind('b/', 'a')).toEqual(['b/1']);
    });

    it('can be left early', async () => {
      for (const key of ['a/1', 'a/2', 'b/1']) await store(driver, key, key);
      for await (const { key, size } of driver.list('')) {
        expect([key, size]).toEqual(['a/1', 3]);
        break;
      }
      expect(await keysOf(driver)).toHaveLength(3);
    });
  });

  describe(`${what}: remove`, () => {
    it('removes the one object, and again is success', async () => {
      await store(driver, 'a/1', 'x');
      await store(driver, 'a/2', 'y');
      await driver.remove(objectKey('a/1'));
      await driver.remove(objectKey('a/1'));
      await driver.remove(objectKey('never/was'));
      expect(await keysOf(driver)).toEqual(['a/2']);
    });

    it('makes the key free again', async () => {
      await store(driver, KEY, 'old');
      await driver.remove(KEY);
      await store(driver, KEY, 'new');
      expect(await textOf(driver, KEY)).toBe('new');
    });
  });

  describe(`${what}: an aborted signal`, () => {
    it('is INTERRUPTED and changes nothing', async () => {
      await store(driver, KEY, 'old');
      const signal = AbortSignal.abort();
      const interrupted = { code: 'INTERRUPTED' };
      const put = driver.put(KEY, bodyOf('new'), { ifExists: 'replace', signal });
      await expect(put).rejects.toMatchObject(interrupted);
      await expect(driver.remove(KEY, { signal })).rejects.toMatchObject(interrupted);
      await expect(driver.get(KEY, { signal })).rejects.toMatchObject(interrupted);
      await expect(driver.stat(KEY, { signal })).rejects.toMatchObject(interrupted);
      await expect(collect(driver.list('', { signal }))).rejects.toMatchObject(interrupted);
      expect(await textOf(driver, KEY)).toBe('old');
    });
  });

  describe(`${what}: a store that dies at its n-th mutation`, () => {
    it.each(MOMENTS)('holds each object whole or not at all (%s the effect)', async (moment) => {
      const keys = ['one', 'two', 'three'];
      for (let at = 1; at <= keys.length; at += 1) {
        const faulty = new FaultyDriver(driver, { kind: 'mutation', at, moment, lasting: true });
        for (const key of keys) {
          const put = store(faulty, `${at}/${key}`, key);
          await (keys.indexOf(key) + 1 < at ? put : expect(put).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' }));
        }
        const kept = keys.slice(0, moment === 'before' ? at - 1 : at);
        const found = await keysOf(driver, `${at}/`);
        expect(found).toEqual(kept.map((key) => `${at}/${key}`).sort());
        for (const key of kept) expect(await textOf(driver, `${at}/${key}`)).toBe(key);
      }
    });
  });
}
