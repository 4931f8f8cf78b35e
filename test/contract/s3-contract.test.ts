import { afterAll, beforeAll, describe } from 'vitest';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { driverWithResumption } from '../../storage-drivers/with-resume.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { encrypted, newKeyRing } from '../support/encryption.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { S3Scene } from '../support/stores/s3-scene.ts';
import { type DriverUnderTest, driverContract } from './driver-contract.ts';

/** Far beyond what any test needs. */
const DEADLINES = { answerMs: 60_000, putMs: 60_000 };
const ONE_RETRY = { retries: 1, firstWaitMs: 1, longestWaitMs: 1 };
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'S3 on Ceph', () => {
  let scene: S3Scene<Rgw>;
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw);
  });
  afterAll(() => scene.end());

  async function open(): Promise<DriverUnderTest> {
    return { driver: await scene.open(), end: () => Promise.resolve() };
  }

  driverContract('S3', open);
  driverContract('S3 with deadlines and retries, resumed', async () => {
    const { driver, end } = await open();
    const patient = driverWithRetries(driverWithDeadlines(driver, DEADLINES), ONE_RETRY);
    return { driver: driverWithResumption(patient), end };
  });
  driverContract('S3, encrypted', async () => {
    const { driver, end } = await open();
    return { driver: encrypted(driver, await newKeyRing()), end };
  });
});
