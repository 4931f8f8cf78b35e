import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ContainerSASPermissions } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { type DriverOptions, openDriver } from '../../storage-drivers/registry.ts';
import { driverWithClaims } from '../../storage-drivers/with-claims.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { newDirectory } from '../support/sandbox.ts';
import { startAzurite, whyNoAzurite } from '../support/stores/azurite.ts';
import { PipedSftpServer, whyNoSftpServer } from '../support/stores/piped-sftp-server.ts';
import { startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { MEBIBYTE, S3Scene } from '../support/stores/s3-scene.ts';

const KEY = objectKey('main/one');
/** More than goes up in one request. */
const LARGE = randomBytes(33 * MEBIBYTE);

interface RefusingStore {
  /** Of a repository that nobody has opened yet. */
  options(): DriverOptions;
  end(): Promise<void>;
}

/** Stores that refuse to remove anything, each by its own means: that of S3 does so in a bucket with object lock too. */
const STORES = [
  {
    what: 'a bucket whose policy lets add and read',
    whyNot: whyNoRgw(),
    start: async (): Promise<RefusingStore> => {
      const scene = await S3Scene.start(startRgw);
      await scene.allow(scene.server.guest.principal, ['PutObject', 'GetObject'], ['ListBucket']);
      const credentialsFile = scene.credentialsFile(scene.server.guest);
      return { options: () => ({ driver: 's3', ...scene.options({ credentialsFile }) }), end: () => scene.end() };
    },
  },
  {
    what: 'a bucket with object lock whose policy lets add, lock and read',
    whyNot: whyNoRgw(),
    start: async (): Promise<RefusingStore> => {
      const scene = await S3Scene.start(startRgw, { objectLock: true });
      const objects = ['PutObject', 'GetObject', 'PutObjectRetention', 'GetObjectRetention'];
      await scene.allow(scene.server.guest.principal, objects, ['ListBucket', 'GetBucketObjectLockConfiguration']);
      const credentialsFile = scene.credentialsFile(scene.server.guest);
      const objectLock = { mode: 'compliance', days: 1 } as const;
      return {
        options: () => ({ driver: 's3', ...scene.options({ credentialsFile, objectLock }) }),
        end: () => scene.end(),
      };
    },
  },
  {
    what: 'a container with a token that does not let remove',
    whyNot: whyNoAzurite(),
    start: async (): Promise<RefusingStore> => {
      const server = await startAzurite();
      const permissions = ContainerSASPermissions.parse('rcwl');
      const url = await server.client.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 3_600_000) });
      const sasFile = join(newDirectory('sas'), 'token');
      writeFileSync(sasFile, new URL(url).search, { mode: 0o600 });
      return {
        options: () => ({ driver: 'azure', ...server.options({ sasFile, keyFile: undefined }) }),
        end: server.stop,
      };
    },
  },
  {
    what: 'an SFTP server that neither removes nor renames',
    whyNot: whyNoSftpServer(),
    start: async (): Promise<RefusingStore> => {
      const server = await PipedSftpServer.start();
      server.refused = ['remove', 'rmdir', 'rename', 'posix-rename', 'setstat', 'fsetstat'];
      return {
        options: () => ({ driver: 'sftp', ...server.options, path: join(newDirectory('sftp'), 'repository') }),
        end: () => server.stop(),
      };
    },
  },
];

describe.each(STORES)('$what', ({ what, whyNot, start }) => {
  describe.skipIf(whyNot !== undefined)(whyNot ?? what, () => {
    let refusing: RefusingStore;
    beforeAll(async () => {
      refusing = await start();
    });
    afterAll(() => refusing.end());

    async function open(options = refusing.options()): Promise<StorageDriver> {
      const driver = await openDriver(options, { instance: 'one', access: 'read-write' });
      return driverWithClaims(driver, { instance: 'one' });
    }

    it('stores small and large objects, and finds them again', async () => {
      const driver = await open();
      for (const key of ['one', 'two', 'three']) await store(driver, key, key);
      await driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
      expect(await keysOf(driver)).toEqual([KEY, 'one', 'three', 'two']);
      expect(await textOf(driver, 'two')).toBe('two');
      expect(sha256Of(await collect(await driver.get(KEY)))).toBe(sha256Of(LARGE));
      await driver.close();
    });

    it('refuses what is there already, and what is to be removed', async () => {
      const options = refusing.options();
      const driver = await open(options);
      await store(driver, KEY, 'old');
      await expect(store(driver, KEY, 'new')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      await expect(driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' })).rejects.toMatchObject({
        code: 'STORAGE_OBJECT_EXISTS',
      });
      await expect(driver.remove(KEY)).rejects.toMatchObject({
        code: expect.stringMatching(/^STORAGE_(DENIED|LOCKED)$/) as string,
        retryable: false,
      });
      await driver.close();
      const again = await open(options);
      expect(await textOf(again, KEY)).toBe('old');
      await again.close();
    });

    it('leaves nothing behind that keeps another service from a key', async () => {
      const options = refusing.options();
      const driver = await open(options);
      await expect(driver.put(KEY, { ...bodyOf('x'), size: 2 }, { ifExists: 'fail' })).rejects.toMatchObject({
        code: 'STORAGE_SIZE',
      });
      await driver.close();
      const inner = await openDriver(options, { instance: 'two', access: 'read-write' });
      const another = driverWithClaims(inner, { instance: 'two' });
      await store(another, KEY, 'x');
      expect(await keysOf(another)).toEqual([KEY]);
      await another.close();
    });
  });
});
