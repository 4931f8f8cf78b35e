import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { GcsDriver } from '../../storage-drivers/gcs/gcs-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of } from '../support/bodies.ts';
import { gcsOptions, KIB, SMALL, wrapped } from '../support/stores/gcs-setup.ts';
import { driverContract } from '../contract/driver-contract.ts';

/**
 * The same against a real bucket, which the fake of the other tests is not:
 *
 *   WALDEN_TEST_GCS_BUCKET=bucket [WALDEN_TEST_GCS_CREDENTIALS_FILE=key.json] [WALDEN_TEST_GCS_ENDPOINT=https://…]
 *
 * Everything is stored below `walden-test/` and removed in the end, so the bucket must have no retention policy.
 */
const bucket = process.env['WALDEN_TEST_GCS_BUCKET'];
const RUN = `walden-test/${randomUUID()}`;

async function open(prefix: string): Promise<GcsDriver> {
  const { WALDEN_TEST_GCS_CREDENTIALS_FILE: credentialsFile, WALDEN_TEST_GCS_ENDPOINT: endpoint } = process.env;
  return await GcsDriver.open(gcsOptions(endpoint, { bucket: bucket ?? '', prefix, credentialsFile }), SMALL);
}

async function fresh(): Promise<GcsDriver> {
  return await open(`${RUN}/${randomUUID()}`);
}

const end = (): Promise<void> => Promise.resolve();

describe.skipIf(bucket === undefined)('a real bucket (set WALDEN_TEST_GCS_BUCKET to run this)', () => {
  afterAll(async () => {
    const driver = await open(RUN);
    for (const key of await keysOf(driver)) await driver.remove(objectKey(key));
    await driver.close();
  });

  driverContract('a bucket of Google Cloud Storage', async () => ({ driver: await fresh(), end }));
  driverContract('the same with resumption, retries and deadlines', async () => ({
    driver: wrapped(await fresh()),
    end,
  }));

  it('lets exactly one of four racing uploads in parts win, and shows its bytes', async () => {
    const driver = await fresh();
    const key = objectKey('large');
    const bodies = Array.from({ length: 4 }, () => randomBytes(1100 * KIB));
    const outcomes = await Promise.allSettled(
      bodies.map((bytes) => driver.put(key, bodyOf(bytes), { ifExists: 'fail' })),
    );
    const winners = bodies.filter((_, writer) => outcomes[writer]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(sha256Of(await collect(await driver.get(key)))).toBe(sha256Of(winners[0]!));
    await driver.close();
  });
});
