import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BlockBlobStageBlockOptions,
  type BlockBlobUploadOptions,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isWaldenError } from '../../src/errors.ts';
import { AzureDriver } from '../../storage-drivers/azure/azure-driver.ts';
import type { AzureOptions } from '../../storage-drivers/azure/azure-options.ts';
import type { ObjectBody, Sha256Hex } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Azurite, AZURITE_ACCOUNT, startAzurite, whyNoAzurite } from '../support/stores/azurite.ts';

const missing = whyNoAzurite();
const MIB = 1024 * 1024;
const KEY = objectKey('main/base/large');
const SMALL_PARTS = { singlePutBytes: 10, partBytes: 10 };

describe.skipIf(missing !== undefined)(missing ?? 'the Azure driver on Azurite', () => {
  let azurite: Azurite;
  const opened: AzureDriver[] = [];

  beforeAll(async () => {
    azurite = await startAzurite();
  });
  afterAll(async () => {
    for (const driver of opened) await driver.close();
    await azurite.stop();
  });

  async function open(changes?: Partial<AzureOptions>, sizes?: typeof SMALL_PARTS): Promise<AzureDriver> {
    const driver = await AzureDriver.open(azurite.options(changes), { access: 'read-write' }, sizes);
    opened.push(driver);
    return driver;
  }

  function secretFile(content: string): string {
    const path = join(newDirectory('secret'), 'secret');
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  describe('a body that goes up in parts', () => {
    it('arrives whole at its real size, and is read by ranges over its parts', async () => {
      const driver = await open();
      const bytes = randomBytes(40 * MIB + 5);
      await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
      expect(await driver.stat(KEY)).toEqual({ key: KEY, size: bytes.length });
      expect(sha256Of(await collect(await driver.get(KEY)))).toBe(sha256Of(bytes));
      const middle = await collect(await driver.get(KEY, { offset: 16 * MIB - 3, length: 16 * MIB + 6 }));
      expect(middle.equals(bytes.subarray(16 * MIB - 3, 32 * MIB + 3))).toBe(true);
    });

    it('is refused before it is sent where the key is taken', async () => {
      const driver = await open({}, SMALL_PARTS);
      await store(driver, KEY, 'old');
      let reads = 0;
      const body = { ...bodyOf(randomBytes(100)), open: () => ((reads += 1), bodyOf('').open()) };
      await expect(driver.put(KEY, body, { ifExists: 'fail' })).rejects.toMatchObject({
        code: 'STORAGE_OBJECT_EXISTS',
      });
      expect(reads).toBe(0);
    });

    it('wins against all others or loses to one, never in part', async () => {
      const prefix = 'race';
      const writers = await Promise.all(Array.from({ length: 6 }, () => open({ prefix }, SMALL_PARTS)));
      const bodies = writers.map((_, writer) => Buffer.alloc(1000, String(writer)));
      const outcomes = await Promise.allSettled(
        writers.map((driver, writer) => driver.put(KEY, bodyOf(bodies[writer]!), { ifExists: 'fail' })),
      );
      const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []));
      expect(winners).toHaveLength(1);
      expect(await textOf(writers[0]!, KEY)).toBe(bodies[winners[0]!]!.toString());
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      }
    });

    it('loses to one that is committed while its parts are on their way', async () => {
      const prefix = 'overtaken';
      const [slow, fast] = [await open({ prefix }, SMALL_PARTS), await open({ prefix }, SMALL_PARTS)];
      const bytes = randomBytes(100);
      const body: ObjectBody = {
        ...bodyOf(bytes),
        // Asked for before the last part is sent: the other ones are there by then, or are on their way.
        sha256: async () => {
          await fast.put(KEY, bodyOf('the one that was faster'), { ifExists: 'fail' });
          return sha256Of(bytes);
        },
      };
      const put = slow.put(KEY, body, { ifExists: 'fail' });
      await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      expect(await textOf(slow, KEY)).toBe('the one that was faster');
    });

    it('that lies leaves nothing to see', async () => {
      const driver = await open({}, SMALL_PARTS);
      const honest = bodyOf(randomBytes(95));
      const lies: readonly ObjectBody[] = [
        { ...honest, size: 96 },
        { ...honest, size: 94 },
        { ...honest, sha256: () => Promise.resolve('0'.repeat(64) as Sha256Hex) },
      ];
      for (const body of lies) {
        await expect(driver.put(KEY, body, { ifExists: 'fail' })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      }
      await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
      expect(await keysOf(driver)).toEqual([]);
    });

    it('that is given up leaves nothing to see, and can be sent again', async () => {
      const driver = await open({}, SMALL_PARTS);
      const mine = new AbortController();
      const bytes = randomBytes(100);
      const body: ObjectBody = {
        ...bodyOf(bytes),
        sha256: () => {
          mine.abort();
          return Promise.resolve(sha256Of(bytes));
        },
      };
      const put = driver.put(KEY, body, { ifExists: 'fail', signal: mine.signal });
      await expect(put).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(await keysOf(driver)).toEqual([]);
      await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
      expect((await collect(await driver.get(KEY))).equals(bytes)).toBe(true);
    });
  });

  describe('what the store checks', () => {
    it('is the MD5 of each request: other bytes than were sent are refused', async () => {
      const blob = azurite.client.getBlockBlobClient('checked');
      const wrong = createHash('md5').update('other').digest();
      const options: BlockBlobStageBlockOptions & BlockBlobUploadOptions = { transactionalContentMD5: wrong };
      await expect(blob.upload('bytes', 5, options)).rejects.toThrow();
      await expect(blob.stageBlock('AAAA', 'bytes', 5, options)).rejects.toThrow();
    });

    it('is kept with the blob', async () => {
      const prefix = 'kept';
      await store(await open({ prefix, accessTier: 'Cool', tags: ['kind=backup'] }), 'x', 'bytes');
      const blob = azurite.client.getBlobClient(`${prefix}/x`);
      const { contentMD5, accessTier } = await blob.getProperties();
      expect(Buffer.from(contentMD5!)).toEqual(createHash('md5').update('bytes').digest());
      expect(accessTier).toBe('Cool');
      expect((await blob.getTags()).tags).toEqual({ kind: 'backup' });
    });
  });

  describe('list', () => {
    it('goes on over pages, and behind a key on any of them', async () => {
      const prefix = 'pages';
      const driver = await open({ prefix });
      const keys = Array.from({ length: 1100 }, (_, number) => `wal/${String(number).padStart(5, '0')}`);
      for (let at = 0; at < keys.length; at += 20) {
        await Promise.all(keys.slice(at, at + 20).map((key) => store(driver, key, '')));
      }
      expect(await keysOf(driver)).toEqual(keys);
      const behind: string[] = [];
      for await (const { key } of driver.list('wal/', { after: objectKey(keys[1050]!) })) behind.push(key);
      expect(behind).toEqual(keys.slice(1051));
    });

    it('leaves out what is not Walden’s', async () => {
      const prefix = 'foreign';
      const driver = await open({ prefix });
      await store(driver, 'mine', 'x');
      for (const name of ['foreign/with space', 'foreign/ä', 'foreign/folder/', 'foreigner']) {
        await azurite.client.getBlockBlobClient(name).upload('', 0);
      }
      await azurite.client.getBlockBlobClient('foreign/dir').upload('', 0, { metadata: { hdi_isfolder: 'true' } });
      expect(await keysOf(driver)).toEqual(['mine']);
    });

    it('of a repository at the root of the container sees all of it', async () => {
      const keys = await keysOf(await open({ prefix: undefined }), 'foreign/m');
      expect(keys).toEqual(['foreign/mine']);
    });
  });

  describe('credentials', () => {
    const wrong = Buffer.from('not the key').toString('base64');

    function sas(permissions: string): string {
      return generateBlobSASQueryParameters(
        {
          containerName: azurite.container,
          permissions: ContainerSASPermissions.parse(permissions),
          expiresOn: new Date(Date.now() + 3_600_000),
        },
        new StorageSharedKeyCredential(AZURITE_ACCOUNT, azurite.key),
      ).toString();
    }

    async function failures(driver: AzureDriver): Promise<readonly unknown[]> {
      const calls = [
        store(driver, 'x', 'x'),
        driver.get(objectKey('x')),
        driver.stat(objectKey('x')),
        driver.remove(objectKey('x')),
        keysOf(driver),
      ];
      return await Promise.all(
        calls.map((call: Promise<unknown>) =>
          call.then(
            () => undefined,
            (error: unknown) => error,
          ),
        ),
      );
    }

    it('that are wrong are denied, without a word of them', async () => {
      const drivers = [
        await open({ keyFile: secretFile(wrong) }),
        await open({ keyFile: undefined, sasFile: secretFile(sas('rl').replace(/sig=.*?(&|$)/, `sig=${wrong}$1`)) }),
      ];
      for (const driver of drivers) {
        for (const error of await failures(driver)) {
          expect(error).toMatchObject({ code: 'STORAGE_DENIED' });
          if (!isWaldenError(error)) throw new Error('not an error of Walden');
          const { message, hint, details, cause } = error;
          expect(JSON.stringify({ message, hint, details, cause })).not.toMatch(/bm90IHRoZSBrZXk|sig=/);
        }
      }
    });

    it('by a SAS token of the permissions rcwdl are enough for everything', async () => {
      const driver = await open({ keyFile: undefined, sasFile: secretFile(`?${sas('rcwdl')}\n`) }, SMALL_PARTS);
      await driver.put(KEY, bodyOf(randomBytes(55)), { ifExists: 'fail' });
      await expect(driver.put(KEY, bodyOf('x'), { ifExists: 'fail' })).rejects.toMatchObject({
        code: 'STORAGE_OBJECT_EXISTS',
      });
      await driver.put(KEY, bodyOf('replaced'), { ifExists: 'replace' });
      expect(await textOf(driver, KEY)).toBe('replaced');
      expect(await keysOf(driver)).toEqual([KEY]);
      await driver.remove(KEY);
    });

    it('by a SAS token for reading are denied what writes', async () => {
      const prefix = 'read-only';
      await store(await open({ prefix }), 'x', 'kept');
      const driver = await open({ prefix, keyFile: undefined, sasFile: secretFile(sas('rl')) });
      expect(await textOf(driver, 'x')).toBe('kept');
      await expect(store(driver, 'y', 'y')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
      await expect(driver.remove(objectKey('x'))).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    });

    it('by a connection string need nothing else', async () => {
      const { endpoint } = azurite.options();
      const text = `DefaultEndpointsProtocol=http;AccountName=${AZURITE_ACCOUNT};AccountKey=${azurite.key};BlobEndpoint=${endpoint!};`;
      const connectionStringFile = secretFile(text);
      const only = { account: undefined, endpoint: undefined, keyFile: undefined, connectionStringFile };
      const driver = await open(only);
      await store(driver, 'x', 'x');
      expect(await keysOf(driver)).toEqual(['x']);
    });
  });

  it('tells a container that is not there from an object that is not', async () => {
    const driver = await open({ container: 'none' });
    const missing = { code: 'STORAGE_UNAVAILABLE', hint: expect.stringContaining('container') as string };
    await expect(driver.stat(KEY)).rejects.toMatchObject(missing);
    await expect(driver.get(KEY)).rejects.toMatchObject(missing);
    await expect(driver.remove(KEY)).rejects.toMatchObject(missing);
    await expect(keysOf(driver)).rejects.toMatchObject(missing);
    await expect(store(driver, KEY, 'x')).rejects.toMatchObject(missing);
  });
});
