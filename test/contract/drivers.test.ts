import { FaultyDriver } from '../../storage-drivers/faulty/faulty-driver.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../storage-drivers/memory/memory-driver.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { type DriverUnderTest, driverContract } from './driver-contract.ts';

/** Far beyond what any test needs. */
const DEADLINES = { answerMs: 60_000, putMs: 60_000 };
const ONE_RETRY = { retries: 1, firstWaitMs: 1, longestWaitMs: 1 };

async function local(): Promise<DriverUnderTest> {
  const root = newDirectory('store');
  const driver = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
  return {
    driver,
    end: () => {
      removeDirectory(root);
      return Promise.resolve();
    },
  };
}

function memory(): Promise<DriverUnderTest> {
  return Promise.resolve({ driver: new MemoryDriver(), end: () => Promise.resolve() });
}

driverContract('a directory', local, { files: true });
driverContract('memory', memory);
driverContract(
  'a directory with deadlines and retries',
  async () => {
    const { driver, end } = await local();
    return { driver: driverWithRetries(driverWithDeadlines(driver, DEADLINES), ONE_RETRY), end };
  },
  { files: true },
);
driverContract('memory with retries', async () => {
  const { driver, end } = await memory();
  return { driver: driverWithRetries(driver, ONE_RETRY), end };
});
driverContract('a faulty store without a fault', async () => {
  const { driver, end } = await memory();
  return { driver: new FaultyDriver(driver), end };
});
