import { FaultyDriver } from '../../storage-drivers/faulty/faulty-driver.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../storage-drivers/memory/memory-driver.ts';
import { DriverOnDemand } from '../../storage-drivers/on-demand.ts';
import { driverWithClaims } from '../../storage-drivers/with-claims.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { driverWithLimits } from '../../storage-drivers/with-limit.ts';
import { driverWithObserver } from '../../storage-drivers/with-observer.ts';
import { driverWithResumption } from '../../storage-drivers/with-resume.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { encrypted, newKeyRing } from '../support/encryption.ts';
import { lookingDriver } from '../support/looking-driver.ts';
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
driverContract('memory, resumed', async () => {
  const { driver, end } = await memory();
  return { driver: driverWithResumption(driverWithRetries(driver, ONE_RETRY)), end };
});
driverContract('memory without conditional puts, with claims', async () => {
  const { driver, end } = await memory();
  return { driver: driverWithClaims(lookingDriver(driver), { instance: 'test' }), end };
});
driverContract('memory, limited and observed', async () => {
  const { driver, end } = await memory();
  const limits = { uploadBytesPerSecond: 1e9, downloadBytesPerSecond: 1e9 };
  return { driver: driverWithObserver(driverWithLimits(driver, limits), () => undefined), end };
});
driverContract(
  'a directory, opened on demand',
  async () => {
    const { driver, end } = await local();
    const onDemand = new DriverOnDemand({ type: 'local', name: 'near' }, () => Promise.resolve(driver));
    await onDemand.opened();
    return { driver: onDemand, end };
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
driverContract('memory, encrypted', async () => {
  const { driver, end } = await memory();
  return { driver: encrypted(driver, await newKeyRing()), end };
});
driverContract('a directory, encrypted', async () => {
  const { driver, end } = await local();
  return { driver: encrypted(driver, await newKeyRing()), end };
});
driverContract('memory without conditional puts, with claims and encrypted', async () => {
  const { driver, end } = await memory();
  const claiming = driverWithClaims(lookingDriver(driver), { instance: 'test' });
  return { driver: encrypted(driverWithResumption(driverWithRetries(claiming, ONE_RETRY)), await newKeyRing()), end };
});
