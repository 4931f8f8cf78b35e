import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Driver } from '../../storage-drivers/s3/s3-driver.ts';
import { driverWithClaims } from '../../storage-drivers/with-claims.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { MEBIBYTE, S3Scene, SMALL_PARTS } from '../support/stores/s3-scene.ts';
import type { S3TestServer } from '../support/stores/s3-servers.ts';
import { startSwift, whyNoSwift } from '../support/stores/swift.ts';
import { driverContract } from './driver-contract.ts';

const whyNot = whyNoSwift();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'S3 on Swift, which refuses conditions', () => {
  let scene: S3Scene<S3TestServer>;
  beforeAll(async () => {
    scene = await S3Scene.start(startSwift);
  });
  afterAll(() => scene.end());

  driverContract('S3', async () => ({ driver: await scene.open(), end: () => Promise.resolve() }), {
    atomicCreate: false,
  });

  // What the store cannot, in full.
  driverContract('S3 with claims', async () => {
    const driver = driverWithClaims(await scene.open(), { instance: 'test' });
    return { driver, end: () => Promise.resolve() };
  });

  it('lets one of two services win, each with its claims', async () => {
    const options = scene.options();
    const drivers = await Promise.all(
      ['one', 'two'].map(async (instance) =>
        driverWithClaims(await S3Driver.open(options, { access: 'read-write' }), { instance }),
      ),
    );
    for (const key of ['a', 'b', 'c']) {
      const outcomes = await Promise.allSettled(drivers.map((driver, n) => store(driver, key, `of ${n}`)));
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
      expect(await textOf(drivers[0]!, key)).toBe(`of ${winner}`);
    }
    for (const driver of drivers) await driver.close();
  });

  describe('open', () => {
    it('finds out that nothing is created in one atomic step', async () => {
      const driver = await scene.open();
      expect(driver.features.createOnlyBytes).toBe(0);
      expect(await keysOf(driver)).toEqual([]);
      await driver.close();
    });
  });

  describe('put of a body in parts', () => {
    it('stores it whole, and leaves the old one untouched where the key is taken', async () => {
      const driver = await scene.open({}, SMALL_PARTS);
      const bytes = randomBytes(11 * MEBIBYTE + 17);
      await driver.put(objectKey('large'), bodyOf(bytes), { ifExists: 'fail' });
      expect(sha256Of(await collect(await driver.get(objectKey('large'))))).toBe(sha256Of(bytes));
      const second = driver.put(objectKey('large'), bodyOf(randomBytes(6 * MEBIBYTE)), { ifExists: 'fail' });
      await expect(second).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      expect(await driver.stat(objectKey('large'))).toEqual({ key: 'large', size: bytes.length });
      await driver.close();
    });
  });

  describe('put with tags', () => {
    it('says that this store does not take them', async () => {
      const tagged = scene.open({ tags: ['team=storage'] });
      await expect(tagged).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
      await expect(tagged).rejects.toHaveProperty('hint', expect.stringContaining('tags'));
      const driver = await scene.open();
      await store(driver, 'some', 'thing');
      await driver.close();
    });
  });
});
