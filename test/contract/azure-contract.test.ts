import { afterAll, beforeAll, describe } from 'vitest';
import { AzureDriver } from '../../storage-drivers/azure/azure-driver.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { driverWithResumption } from '../../storage-drivers/with-resume.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { type Azurite, startAzurite, whyNoAzurite } from '../support/stores/azurite.ts';
import { type DriverUnderTest, driverContract } from './driver-contract.ts';

const missing = whyNoAzurite();
/** Far beyond what any test needs. */
const DEADLINES = { answerMs: 60_000, putMs: 60_000 };
const ONE_RETRY = { retries: 1, firstWaitMs: 1, longestWaitMs: 1 };

describe.skipIf(missing !== undefined)(missing ?? 'on Azurite', () => {
  let azurite: Azurite;
  beforeAll(async () => {
    azurite = await startAzurite();
  });
  afterAll(async () => {
    await azurite.stop();
  });

  /** Beginning below a prefix of its own, so that one server serves all. */
  async function open(sizes?: Parameters<typeof AzureDriver.open>[2]): Promise<DriverUnderTest> {
    const driver = await AzureDriver.open(azurite.options(), { access: 'read-write' }, sizes);
    return { driver, end: () => Promise.resolve() };
  }

  driverContract('Azure', open);
  driverContract('Azure, all but the smallest in parts', () => open({ singlePutBytes: 3, partBytes: 1024 * 1024 }));
  driverContract('Azure, with all wrappers', async () => {
    const { driver, end } = await open();
    const wrapped = driverWithRetries(driverWithDeadlines(driver, DEADLINES), ONE_RETRY);
    return { driver: driverWithResumption(wrapped), end };
  });
});
