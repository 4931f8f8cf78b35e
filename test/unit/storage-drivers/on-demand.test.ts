import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { ObjectKey, StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { DriverOnDemand } from '../../../storage-drivers/on-demand.ts';

const KEY = 'a/key' as ObjectKey;

/** A store that is away until it is told otherwise, and a clock in the hand. */
function scene() {
  let [away, attempts, now] = [true, 0, 0];
  const clock: Clock = { now: () => new Date(now), sleep: () => Promise.resolve() };
  const store = new MemoryDriver();
  const open = (): Promise<StorageDriver> => {
    attempts += 1;
    return away ? Promise.reject(new WaldenError('STORAGE_UNAVAILABLE', `away ${attempts}`)) : Promise.resolve(store);
  };
  return {
    store,
    driver: new DriverOnDemand({ type: 'memory', name: 'far' }, open, clock),
    attempts: () => attempts,
    pass: (milliseconds: number) => (now += milliseconds),
    comeBack: () => (away = false),
  };
}

describe('a store that is opened on demand', () => {
  it('is opened once, by whoever comes first', async () => {
    const { driver, attempts, comeBack } = scene();
    comeBack();
    expect(attempts()).toBe(0);
    await Promise.all([driver.opened(), driver.stat(KEY).catch(() => undefined), driver.opened()]);
    expect(attempts()).toBe(1);
  });

  it('tells why it is away, at once for a while, and is tried again afterwards', async () => {
    const { driver, attempts, pass, comeBack } = scene();
    await expect(driver.stat(KEY)).rejects.toMatchObject({ message: 'away 1' });
    comeBack();
    await expect(driver.get(KEY)).rejects.toMatchObject({ message: 'away 1' });
    pass(5_000);
    await expect(driver.get(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    expect(attempts()).toBe(2);
  });

  it('is not kept from being tried by a clock that was set back', async () => {
    const { driver, pass, comeBack } = scene();
    await expect(driver.opened()).rejects.toMatchObject({ message: 'away 1' });
    comeBack();
    pass(-3_600_000);
    await driver.opened();
  });

  it('asks for little before it is open, and has the features of the store then', async () => {
    const { driver, store, comeBack } = scene();
    expect(driver.features).toMatchObject({ stagingDirectory: undefined, createOnlyBytes: Infinity });
    comeBack();
    await driver.opened();
    expect(driver.features).toBe(store.features);
  });

  it('is closed for good', async () => {
    const { driver, comeBack, attempts } = scene();
    comeBack();
    await driver.close();
    await expect(driver.opened()).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(attempts()).toBe(0);
  });
});
