import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type FileKey, HEADER_BYTES } from '../../../../storage-drivers/age/header.ts';
import type { KeyRing } from '../../../../storage-drivers/age/key-ring.ts';
import { HEAD_BYTES } from '../../../../storage-drivers/age/payload.ts';
import type { StorageDriver } from '../../../../storage-drivers/driver.ts';
import { LocalDriver } from '../../../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { SEALED_CHUNK_BYTES } from '../../../../src/platform/sealed-chunks.ts';
import { readSmallPart } from '../../../../src/repository/object-bytes.ts';
import { bodyOf, collect } from '../../../support/bodies.ts';
import { encrypted, newKeyRing } from '../../../support/encryption.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const KEY = objectKey('main/object');
const STORED = objectKey('main/object.age');
const PLAIN = randomBytes(3 * 65_536 + 100);

let keys: KeyRing;
let store: MemoryDriver;
let driver: StorageDriver;

beforeAll(async () => {
  keys = await newKeyRing();
});
beforeEach(async () => {
  store = new MemoryDriver();
  driver = encrypted(store, keys);
  await driver.put(KEY, bodyOf(PLAIN), { ifExists: 'fail' });
});

/** Reads all of it, once as a whole and once by a range, each through a driver that knows nothing of it yet. */
async function codesOfReading(): Promise<readonly unknown[]> {
  const reads = [{}, { offset: 0, length: PLAIN.length }];
  return await Promise.all(
    reads.map(async (options) => {
      try {
        await collect(await encrypted(store, keys).get(KEY, options));
        return 'none';
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
    }),
  );
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

describe('reading an encrypted object', () => {
  it.each([
    ['the version line', 3],
    ["a recipient's share", 40],
    ["a recipient's wrapped key", 90],
    ['the padding', 500],
    ['the end of the padding', HEADER_BYTES - 50],
    ["the header's MAC", HEADER_BYTES - 10],
    ["the header's last line feed", HEADER_BYTES - 1],
    ['the nonce', HEAD_BYTES - 1],
    ['the first chunk', HEAD_BYTES + 5],
    ['the tag of the second chunk', HEAD_BYTES + 2 * SEALED_CHUNK_BYTES - 1],
    ['the last chunk', HEAD_BYTES + 3 * SEALED_CHUNK_BYTES + 5],
  ])('is CHECKSUM_MISMATCH where a bit of %s is flipped', async (_where, at) => {
    store.damage(STORED, (bytes) => flipped(bytes, at));
    expect(await codesOfReading()).toEqual(['CHECKSUM_MISMATCH', 'CHECKSUM_MISMATCH']);
  });

  it('is CHECKSUM_MISMATCH, and never a missing key, whichever bit of the header is flipped', async () => {
    const header = await keys.seal(randomBytes(16) as FileKey);
    const other: string[] = [];
    for (let bit = 0; bit < 8 * header.length; bit += 1) {
      const damaged = Buffer.from(header);
      damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
      const code = await keys.open(damaged, 'it').then(
        () => 'opened',
        (error: unknown) => (error as { code?: unknown }).code,
      );
      if (code !== 'CHECKSUM_MISMATCH') other.push(`${bit}: ${String(code)}`);
    }
    expect(other).toEqual([]);
  });

  it.each([
    ['at the end of a chunk', HEAD_BYTES + 2 * SEALED_CHUNK_BYTES],
    ['in a chunk', HEAD_BYTES + 2 * SEALED_CHUNK_BYTES + 100],
    ['behind the head', HEAD_BYTES],
    ['in the header', 100],
    ['to nothing', 0],
  ])('never gives other bytes where it is cut off %s', async (_where, bytes) => {
    store.damage(STORED, (whole) => whole.subarray(0, bytes));
    const [whole, range] = await codesOfReading();
    expect(whole).toBe('CHECKSUM_MISMATCH');
    expect(['CHECKSUM_MISMATCH', 'STORAGE_SIZE']).toContain(range);
  });

  it('is CHECKSUM_MISMATCH where two chunks are exchanged, or one is there twice', async () => {
    const chunk = (bytes: Buffer, number: number): Buffer =>
      bytes.subarray(HEAD_BYTES + number * SEALED_CHUNK_BYTES, HEAD_BYTES + (number + 1) * SEALED_CHUNK_BYTES);
    const [first, second] = [0, 1].map((number) => HEAD_BYTES + number * SEALED_CHUNK_BYTES);
    store.damage(STORED, (bytes) => {
      const [one, two] = [Buffer.from(chunk(bytes, 0)), Buffer.from(chunk(bytes, 1))];
      two.copy(bytes, first);
      one.copy(bytes, second);
      return bytes;
    });
    expect(await codesOfReading()).toEqual(['CHECKSUM_MISMATCH', 'CHECKSUM_MISMATCH']);
  });

  it('is CHECKSUM_MISMATCH where something was added', async () => {
    for (const more of [1, SEALED_CHUNK_BYTES]) {
      store.damage(STORED, (bytes) => Buffer.concat([bytes, Buffer.alloc(more)]));
      const [whole] = await codesOfReading();
      expect(whole).toBe('CHECKSUM_MISMATCH');
      await expect(collect(await driver.get(KEY))).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    }
  });

  it('is CHECKSUM_MISMATCH where its chunks are those of another object', async () => {
    const other = objectKey('main/other');
    await driver.put(other, bodyOf(PLAIN), { ifExists: 'fail' });
    const foreign = await collect(await store.get(objectKey('main/other.age')));
    store.damage(STORED, (bytes) => Buffer.concat([bytes.subarray(0, HEAD_BYTES), foreign.subarray(HEAD_BYTES)]));
    expect(await codesOfReading()).toEqual(['CHECKSUM_MISMATCH', 'CHECKSUM_MISMATCH']);
  });

  it('is KEY_MISSING with other keys, and names none of their secrets', async () => {
    const others = encrypted(store, await newKeyRing());
    const failure = others.get(KEY).then(collect);
    await expect(failure).rejects.toMatchObject({ code: 'KEY_MISSING' });
    await expect(others.get(KEY, { offset: 1, length: 1 })).rejects.toThrow(/no key here opens it/);
    await expect(failure).rejects.not.toThrow(/SECRET/);
  });

  it('goes on when another object was put in its place by somebody else', async () => {
    expect((await collect(await driver.get(KEY, { offset: 70_000, length: 5 }))).length).toBe(5);
    await encrypted(store, keys).put(KEY, bodyOf('another, and shorter'), { ifExists: 'replace' });
    expect((await collect(await driver.get(KEY, { offset: 0, length: 7 }))).toString()).toBe('another');
  });
});

describe('an encrypted object that is a file of this host', () => {
  it('is decrypted by whoever reads its descriptor, any range of it', async () => {
    const local = await LocalDriver.open({ root: newDirectory('store'), instance: 'test', access: 'read-write' });
    const files = encrypted(local, keys);
    await files.put(KEY, bodyOf(PLAIN), { ifExists: 'fail' });
    const ranges = [
      [0, PLAIN.length],
      [65_535, 2],
      [131_072, 65_536],
      [PLAIN.length - 1, 1],
      [PLAIN.length, 0],
    ] as const;
    for (const [offset, length] of ranges) {
      const part = await readSmallPart(files, KEY, { offset, length });
      expect(part.equals(PLAIN.subarray(offset, offset + length))).toBe(true);
    }
    await expect(readSmallPart(files, KEY, { offset: PLAIN.length, length: 1 })).rejects.toMatchObject({
      code: 'STORAGE_SIZE',
    });
  });
});
