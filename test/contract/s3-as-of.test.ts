import { DeleteObjectCommand, PutBucketVersioningCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { openDriver } from '../../storage-drivers/registry.ts';
import { S3AsOfDriver } from '../../storage-drivers/s3/s3-as-of-driver.ts';
import type { S3Options } from '../../storage-drivers/s3/s3-options.ts';
import { bodyOf, keysOf, store, textOf } from '../support/bodies.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { S3Scene } from '../support/stores/s3-scene.ts';
import { until } from '../support/until.ts';
import { driverContract } from './driver-contract.ts';

const KEY = objectKey('main/one');
const MISSING = { code: 'STORAGE_OBJECT_MISSING' };
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'a bucket with versions', () => {
  let scene: S3Scene<Rgw>;
  let options: S3Options;
  let driver: StorageDriver;
  const opened: StorageDriver[] = [];
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw);
    const versioning = { VersioningConfiguration: { Status: 'Enabled' as const } };
    await scene.client.send(new PutBucketVersioningCommand({ Bucket: scene.bucket, ...versioning }));
  });
  afterAll(() => scene.end());
  afterEach(async () => {
    for (const driver of opened.splice(0)) await driver.close();
  });

  async function fresh(): Promise<void> {
    options = scene.options();
    driver = await openDriver({ driver: 's3', ...options }, { instance: 'one', access: 'read-write' });
    opened.push(driver);
  }

  async function asOf(moment: Date): Promise<StorageDriver> {
    const past = await S3AsOfDriver.open(options, { asOf: moment });
    opened.push(past);
    return past;
  }

  /** A moment behind all that was done, and before all that will be: the store tells milliseconds. */
  async function moment(): Promise<Date> {
    const now = Date.now();
    await until(() => Promise.resolve(Date.now() > now + 2), { what: 'the next moment' });
    return new Date(now + 1);
  }

  it('is read as it was, whatever was replaced, removed or added since', async () => {
    await fresh();
    await store(driver, KEY, 'first');
    await store(driver, 'main/removed', 'there');
    const before = await moment();
    await driver.put(KEY, bodyOf('replaced'), { ifExists: 'replace' });
    await driver.remove(objectKey('main/removed'));
    await store(driver, 'main/added', 'new');
    const between = await moment();
    await driver.remove(KEY);
    const [then, later, now] = [await asOf(before), await asOf(between), await asOf(await moment())];

    expect(await keysOf(then)).toEqual([KEY, 'main/removed']);
    expect(await textOf(then, KEY)).toBe('first');
    expect(await textOf(then, 'main/removed')).toBe('there');
    expect(await then.stat(KEY)).toEqual({ key: KEY, size: 5 });
    await expect(then.get(objectKey('main/added'))).rejects.toMatchObject(MISSING);

    expect(await keysOf(later)).toEqual(['main/added', KEY]);
    expect(await textOf(later, KEY)).toBe('replaced');
    await expect(later.stat(objectKey('main/removed'))).rejects.toMatchObject(MISSING);

    expect(await keysOf(now)).toEqual(await keysOf(driver));
    expect(await keysOf(now)).toEqual(['main/added']);
    expect(await keysOf(await asOf(new Date(before.getTime() - 3_600_000)))).toEqual([]);
  });

  it('finds one object without a listing, also one whose key others begin with', async () => {
    await fresh();
    for (const key of ['a', 'a.b', 'a/b']) await store(driver, key, key);
    const past = await asOf(await moment());
    for (const key of ['a/b', 'a', 'a.b']) expect(await textOf(past, key)).toBe(key);
    await driver.remove(objectKey('a'));
    const later = await asOf(await moment());
    await expect(later.stat(objectKey('a'))).rejects.toMatchObject(MISSING);
    expect(await keysOf(later)).toEqual(['a.b', 'a/b']);
  });

  it('is read rightly where the versions of one object go over pages', async () => {
    await fresh();
    await store(driver, 'a', 'a');
    const change = { Bucket: scene.bucket, Key: `${options.prefix!}/b` };
    const before = await moment();
    const changes = Array.from({ length: 1100 }, (_, number) => number);
    for (let from = 0; from < changes.length; from += 50) {
      await Promise.all(
        changes.slice(from, from + 50).map(async (number) => {
          const put = new PutObjectCommand({ ...change, Body: Buffer.from('x') });
          await (number % 10 === 9 ? scene.client.send(new DeleteObjectCommand(change)) : scene.client.send(put));
        }),
      );
    }
    await scene.client.send(new PutObjectCommand({ ...change, Body: Buffer.from('the last') }));
    await store(driver, 'c', 'c');
    const past = await asOf(await moment());
    expect(await keysOf(past)).toEqual(['a', 'b', 'c']);
    expect(await textOf(past, 'b')).toBe('the last');
    const behind: string[] = [];
    for await (const { key } of past.list('', { after: objectKey('a') })) behind.push(key);
    expect(behind).toEqual(['b', 'c']);
    expect(await keysOf(await asOf(before))).toEqual(['a']);
  });

  it('is not changed', async () => {
    await fresh();
    await store(driver, KEY, 'x');
    const past = await asOf(await moment());
    await expect(store(past, 'main/two', 'x')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    await expect(past.remove(KEY)).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
  });

  it('is needed: where no versions are kept, and on other stores, it is said', async () => {
    const other = await S3Scene.start(() => Promise.resolve({ ...scene.server, stop: () => Promise.resolve() }));
    const usage = { code: 'USAGE', hint: expect.stringContaining('--as-of') as string };
    await expect(S3AsOfDriver.open(other.options(), { asOf: new Date() })).rejects.toMatchObject(usage);
    await other.end();
    const use = { instance: 'one', access: 'read-only', asOf: new Date() } as const;
    await expect(openDriver({ driver: 'local', path: '/nowhere' }, use)).rejects.toMatchObject(usage);
  });

  it('that is missing, or forbidden, is never a missing object', async () => {
    await fresh();
    const nowhere = S3AsOfDriver.open({ ...options, bucket: 'walden-nowhere' }, { asOf: new Date() });
    await expect(nowhere).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    const credentialsFile = scene.credentialsFile(scene.server.guest);
    const forbidden = await S3AsOfDriver.open({ ...options, credentialsFile }, { asOf: new Date() });
    const hint = expect.stringContaining('s3:ListBucketVersions') as string;
    await expect(forbidden.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_DENIED', hint });
    await expect(keysOf(forbidden)).rejects.toMatchObject({ code: 'STORAGE_DENIED', hint });
    await forbidden.close();
  });

  driverContract(
    'S3, read as of a moment that is not over',
    async () => {
      await fresh();
      const { features, type } = driver;
      const future = new Date(Date.now() + 3_600_000);
      // What one of them has seen it takes for the past.
      const reader = (): Promise<StorageDriver> => asOf(future);
      return {
        driver: {
          type,
          features,
          put: (key, body, use) => driver.put(key, body, use),
          remove: (key, use) => driver.remove(key, use),
          get: async (key, use) => (await reader()).get(key, use),
          stat: async (key, use) => (await reader()).stat(key, use),
          async *list(prefix, use) {
            yield* (await reader()).list(prefix, use);
          },
          close: () => Promise.resolve(),
        },
        end: () => Promise.resolve(),
      };
    },
    { atomicCreate: false },
  );
});
