import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectLock } from '../../src/config/option.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { S3Driver } from '../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../storage-drivers/s3/s3-options.ts';
import { driverWithClaims } from '../../storage-drivers/with-claims.ts';
import { bodyOf, keysOf, store, textOf } from '../support/bodies.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { MEBIBYTE, S3Scene, SMALL_PARTS } from '../support/stores/s3-scene.ts';

const KEY = objectKey('main/base/one');
const LARGE = randomBytes(12 * MEBIBYTE + 17);
const DAY_MS = 24 * 3600 * 1000;
const FORTNIGHT: ObjectLock = { mode: 'compliance', days: 14 };
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'a bucket with object lock', () => {
  let scene: S3Scene<Rgw>;
  let options: S3Options;
  const opened: StorageDriver[] = [];
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw, { objectLock: true });
  });
  afterAll(() => scene.end());
  afterEach(async () => {
    for (const driver of opened.splice(0)) await driver.close();
  });

  async function open(changes: Partial<S3Options> = {}): Promise<StorageDriver> {
    options = scene.options({ objectLock: FORTNIGHT, ...changes });
    const driver = await S3Driver.open(options, { access: 'read-write', sizes: SMALL_PARTS });
    opened.push(driver);
    return driver;
  }

  it.each([
    ['small', Buffer.from('x')],
    ['in parts', LARGE],
  ])('keeps what is stored (%s) from being removed by anybody', async (_size, bytes) => {
    const driver = await open();
    const before = Date.now();
    await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
    const [version, ...others] = await scene.versions(`${options.prefix!}/${KEY}`);
    expect(others).toEqual([]);
    expect(version?.mode).toBe('COMPLIANCE');
    // Whole seconds on the way.
    expect(version?.until?.getTime()).toBeGreaterThan(before + 14 * DAY_MS - 1000);
    expect(version?.until?.getTime()).toBeLessThan(Date.now() + 14 * DAY_MS + 1000);
    const { name, versionId } = version!;
    const deletion = new DeleteObjectCommand({ Bucket: scene.bucket, Key: name, VersionId: versionId });
    await expect(scene.client.send(deletion)).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  it('locks for as long and as firmly as it is told', async () => {
    const driver = await open({ objectLock: { mode: 'governance', days: 365 } });
    await store(driver, KEY, 'x');
    const [version] = await scene.versions(`${options.prefix!}/${KEY}`);
    expect(version?.mode).toBe('GOVERNANCE');
    expect(version?.until?.getTime()).toBeGreaterThan(Date.now() + 364 * DAY_MS);
  });

  it('locks neither what is temporary, nor claims, nor what tries the store out', async () => {
    const driver = await open();
    await driver.put(objectKey('temporary'), bodyOf('x'), { ifExists: 'fail', temporary: true });
    const claiming = driverWithClaims(driver, { instance: 'one' });
    // This version of Ceph keeps no conditions in a bucket with versions.
    expect(driver.features.createOnlyBytes).toBe(0);
    await store(claiming, KEY, 'x');
    const versions = await scene.versions(`${options.prefix!}/`);
    const namesOf = (locked: boolean): readonly string[] =>
      versions
        .filter(({ until }) => (until !== undefined) === locked)
        .map(({ name }) => name.slice(options.prefix!.length + 1).replace(/\/one\..*/, '/CLAIM'));
    expect(namesOf(true)).toEqual([KEY]);
    expect([...new Set(namesOf(false))]).toEqual([`.claims/${KEY}/CLAIM`, '.walden-probe', 'temporary']);
    expect(await keysOf(driver, '.claims/')).toEqual([]);
  });

  it('says until when what cannot be removed is locked, and does not hide it', async () => {
    const driver = await open();
    await store(driver, KEY, 'x');
    const error: unknown = await driver.remove(KEY).catch((error: unknown) => error);
    const [version] = await scene.versions(`${options.prefix!}/${KEY}`);
    const until = version!.until!.toISOString();
    expect(error).toMatchObject({
      code: 'STORAGE_LOCKED',
      retryable: false,
      message: expect.stringContaining(`locked until ${until}`) as string,
      details: { until },
    });
    expect(await textOf(driver, KEY)).toBe('x');
  });

  it('removes what is not locked, and leaves no trace of what is not there', async () => {
    const driver = await open();
    await driver.remove(objectKey('never/was'));
    expect(await scene.markers(`${options.prefix!}/never`)).toBe(0);
    await driver.put(KEY, bodyOf('x'), { ifExists: 'fail', temporary: true });
    await driver.remove(KEY);
    await driver.remove(KEY);
    expect(await keysOf(driver)).toEqual([]);
  });

  it('is needed where a lock is configured', async () => {
    await scene.client.send(new CreateBucketCommand({ Bucket: 'walden-without-lock' }));
    await expect(open({ bucket: 'walden-without-lock' })).rejects.toMatchObject({
      code: 'STORAGE_DENIED',
      message: expect.stringContaining('has no object lock') as string,
      hint: expect.stringContaining('object_lock') as string,
    });
    await expect(open({ bucket: 'walden-nowhere' })).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    const credentialsFile = scene.credentialsFile(scene.server.guest);
    await expect(open({ credentialsFile })).rejects.toMatchObject({
      code: 'STORAGE_DENIED',
      hint: expect.stringContaining('s3:GetBucketObjectLockConfiguration') as string,
    });
  });
});
