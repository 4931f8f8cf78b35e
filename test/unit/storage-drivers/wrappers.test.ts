import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { driverWithAccess } from '../../../storage-drivers/with-access.ts';
import { driverWithLimits } from '../../../storage-drivers/with-limit.ts';
import { driverWithObserver, type ObservedCall } from '../../../storage-drivers/with-observer.ts';
import { bodyOf, keysOf, store, textOf } from '../../support/bodies.ts';

const KEY = objectKey('key');
const DENIED = { code: 'STORAGE_DENIED' };

describe('a store that may only be read', () => {
  it('is not changed', async () => {
    const memory = new MemoryDriver();
    await store(memory, KEY, 'old');
    const driver = driverWithAccess(memory, 'read-only');
    await expect(store(driver, 'other', 'x')).rejects.toMatchObject(DENIED);
    await expect(driver.put(KEY, bodyOf('new'), { ifExists: 'replace' })).rejects.toMatchObject(DENIED);
    await expect(driver.remove(KEY)).rejects.toMatchObject(DENIED);
    expect(await textOf(driver, KEY)).toBe('old');
    expect(await keysOf(driver)).toEqual([KEY]);
  });
});

describe('a store that may only be added to', () => {
  it('keeps what it has', async () => {
    const memory = new MemoryDriver();
    const driver = driverWithAccess(memory, 'append-only');
    await store(driver, KEY, 'old');
    await expect(driver.put(KEY, bodyOf('new'), { ifExists: 'replace' })).rejects.toMatchObject(DENIED);
    await expect(driver.remove(KEY)).rejects.toMatchObject(DENIED);
    expect(await textOf(driver, KEY)).toBe('old');
  });
});

describe('a store with limits', () => {
  /** Waits no longer than a turn of the event loop; says how long it would have waited. */
  function countingClock(): Clock & { waited: () => number } {
    let waited = 0;
    return {
      now: () => new Date(waited),
      sleep: async (milliseconds) => {
        waited += milliseconds;
        await new Promise((resolve) => setImmediate(resolve));
      },
      waited: () => waited,
    };
  }

  it('takes as long as the bytes of all transfers take together', async () => {
    const clock = countingClock();
    const driver = driverWithLimits(new MemoryDriver(), { uploadBytesPerSecond: 1000 }, clock);
    // Each body comes in two chunks; the very last one's own time is nobody's to wait for.
    await store(driver, 'a', 'x'.repeat(1000));
    await store(driver, 'b', 'x'.repeat(1000));
    expect(clock.waited()).toBe(1500);
    expect(await textOf(driver, 'a')).toHaveLength(1000);
    expect(clock.waited()).toBe(1500);
  });

  it('limits what is read, too', async () => {
    const clock = countingClock();
    const memory = new MemoryDriver();
    await store(memory, 'a', 'x'.repeat(500));
    const driver = driverWithLimits(memory, { downloadBytesPerSecond: 1000 }, clock);
    for (let turn = 0; turn < 3; turn += 1) expect(await textOf(driver, 'a')).toHaveLength(500);
    expect(clock.waited()).toBe(1000);
  });

  it('is left as it is without any', () => {
    const memory = new MemoryDriver();
    expect(driverWithLimits(memory, {})).toBe(memory);
  });
});

describe('a store that is observed', () => {
  it('says of each call how it ended', async () => {
    const calls: ObservedCall[] = [];
    const driver = driverWithObserver(new MemoryDriver(), (call) => calls.push(call), systemClock);
    await store(driver, KEY, 'x');
    await expect(store(driver, KEY, 'y')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    await textOf(driver, KEY);
    await keysOf(driver);
    await driver.remove(KEY);
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    expect(calls.map(({ operation, error }) => [operation, error?.code])).toEqual([
      ['put', undefined],
      ['put', 'STORAGE_OBJECT_EXISTS'],
      ['get', undefined],
      ['list', undefined],
      ['remove', undefined],
      ['stat', 'STORAGE_OBJECT_MISSING'],
    ]);
    for (const { milliseconds } of calls) expect(milliseconds).toBeGreaterThanOrEqual(0);
  });
});
