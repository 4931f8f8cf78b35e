import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Decrypter } from 'age-encryption';
import { describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../../../storage-drivers/driver.ts';
import { LocalDriver } from '../../../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { openWhole } from '../../../../storage-drivers/age/open-payload.ts';
import { payloadKey } from '../../../../storage-drivers/age/payload.ts';
import type { FileKey } from '../../../../storage-drivers/age/header.ts';
import { X25519Identity } from '../../../../storage-drivers/age/x25519.ts';
import { compressBytes } from '../../../../src/repository/codec.ts';
import { bodyOfBytes } from '../../../../src/repository/object-bytes.ts';
import { bodyOf, collect, fileBody } from '../../../support/bodies.ts';
import { ageDecrypt, ageKeygen, currentKeyPath, encrypted, newKeyRing, whyNoAge } from '../../../support/encryption.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const KEY = objectKey('main/object.zst');
const SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000];

async function openDirectory(): Promise<StorageDriver> {
  return await LocalDriver.open({ root: newDirectory('repo'), instance: 'test', access: 'read-write' });
}

function bytesOf(size: number): Buffer {
  return Buffer.alloc(size, 'walden, encrypted');
}

describe.skipIf(whyNoAge !== undefined)(whyNoAge ?? 'the program age', () => {
  it.each(SIZES)('opens an object of %i bytes, with the key and with the recovery key', async (size) => {
    const recovery = ageKeygen(newDirectory('recovery'), 'recovery.key');
    const keys = await newKeyRing([recovery.recipient]);
    const store = new MemoryDriver();
    await encrypted(store, keys).put(KEY, bodyOf(bytesOf(size)), { ifExists: 'fail' });
    const stored = await collect(await store.get(objectKey(`${KEY}.age`)));
    expect(ageDecrypt(await currentKeyPath(keys), stored).equals(bytesOf(size))).toBe(true);
    expect(ageDecrypt(recovery.path, stored).equals(bytesOf(size))).toBe(true);
  });

  it('opens an object that was made of a staged file, and zstd what is in it', async () => {
    const keys = await newKeyRing();
    const store = new MemoryDriver();
    const path = join(newDirectory('body'), 'staged');
    writeFileSync(path, compressBytes(bytesOf(500_000), 1));
    await encrypted(store, keys).put(KEY, fileBody(path), { ifExists: 'fail' });
    const stored = await collect(await store.get(objectKey(`${KEY}.age`)));
    const opened = ageDecrypt(await currentKeyPath(keys), stored);
    expect(opened.equals(readFileSync(path))).toBe(true);
    expect(execFileSync('zstd', ['-dc'], { input: opened }).equals(bytesOf(500_000))).toBe(true);
  });

  it.each([
    ['a store without files', (): Promise<StorageDriver> => Promise.resolve(new MemoryDriver())],
    ['a directory', openDirectory],
  ])('opens what went from memory into %s', async (_what, open) => {
    const keys = await newKeyRing();
    const store = await open();
    const driver = encrypted(store, keys);
    // Some of them through the same memory, one after the other.
    for (const [index, size] of [200_000, 3_000_000, 131_073, 1_048_576].entries()) {
      const bytes = randomBytes(size);
      const key = objectKey(`main/${index}`);
      await driver.put(key, bodyOfBytes(bytes), { ifExists: 'fail' });
      const stored = await collect(await store.get(objectKey(`${key}.age`)));
      expect(ageDecrypt(await currentKeyPath(keys), stored).equals(bytes)).toBe(true);
      expect((await collect(await driver.get(key))).equals(bytes)).toBe(true);
    }
  });

  it.each(SIZES)('makes what is opened here, of %i bytes', async (size) => {
    const key = ageKeygen(newDirectory('keys'), 'a.key');
    const text = readFileSync(key.path, 'utf8');
    const made = execFileSync('age', ['-r', key.recipient], { input: bytesOf(size) });
    const headerEnd = made.indexOf('\n', made.indexOf('\n--- ') + 1) + 1;
    const decrypter = new Decrypter();
    const identity = new X25519Identity(/AGE-SECRET-KEY-1\S+/.exec(text)![0]);
    expect(identity.recipient).toBe(key.recipient);
    decrypter.addIdentity(identity);
    const fileKey = Buffer.from(await decrypter.decryptHeader(made.subarray(0, headerEnd))) as FileKey;
    const nonce = made.subarray(headerEnd, headerEnd + 16);
    const opened = await collect(openWhole(streamOf(made.subarray(headerEnd + 16)), payloadKey(fileKey, nonce), 'it'));
    expect(opened.equals(bytesOf(size))).toBe(true);
  });

  it('reads the keys that Walden makes', async () => {
    const keys = await newKeyRing();
    const recipient = execFileSync('age-keygen', ['-y', await currentKeyPath(keys)], { encoding: 'utf8' }).trim();
    expect([recipient]).toEqual(await keys.recipients());
  });
});

async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10_000) yield await Promise.resolve(bytes.subarray(at, at + 10_000));
}
