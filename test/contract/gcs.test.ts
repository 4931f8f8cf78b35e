import { afterAll, beforeAll } from 'vitest';
import { GcsDriver } from '../../storage-drivers/gcs/gcs-driver.ts';
import { FakeGcs } from '../support/stores/fake-gcs.ts';
import { BUCKET, gcsOptions, KIB, openGcs, wrapped } from '../support/stores/gcs-setup.ts';
import { driverContract } from './driver-contract.ts';

let fake: FakeGcs;

beforeAll(async () => {
  fake = await FakeGcs.start();
  fake.objects.addBucket(BUCKET);
});
afterAll(() => fake.stop());

/** Every body goes up in parts, but for the empty one. */
const IN_PARTS = { access: 'read-write', singlePutBytes: 0, partBytes: 256 * KIB } as const;

const end = (): Promise<void> => Promise.resolve();

driverContract('a bucket of a fake Google Cloud Storage', async () => ({ driver: await openGcs(fake.url), end }));
driverContract('the same with resumable uploads', async () => ({
  driver: await GcsDriver.open(gcsOptions(fake.url), IN_PARTS),
  end,
}));
driverContract('the same with resumption, retries and deadlines', async () => ({
  driver: wrapped(await openGcs(fake.url)),
  end,
}));
