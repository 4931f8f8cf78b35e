import { describe, expect, it } from 'vitest';
import { type ErrorCode, WaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { type Fault, FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { driverWithRetries } from '../../../storage-drivers/with-retry.ts';
import { bodyOf, keysOf, store, textOf } from '../../support/bodies.ts';

const KEY = objectKey('key');
const SOON = { retries: 2, firstWaitMs: 1, longestWaitMs: 2 };

function failing(fault: Omit<Fault, 'at'>, code?: ErrorCode): { memory: MemoryDriver; faulty: FaultyDriver } {
  const memory = new MemoryDriver();
  const error = code === undefined ? {} : { error: new WaldenError(code, 'as the test wants') };
  return { memory, faulty: new FaultyDriver(memory, { at: 1, ...fault, ...error }) };
}

describe('a store that fails once', () => {
  it.each(['before', 'after'] as const)('gets and keeps the object (%s the effect)', async (moment) => {
    const { memory, faulty } = failing({ kind: 'mutation', moment, lasting: false });
    await store(driverWithRetries(faulty, SOON), KEY, 'content');
    expect(await textOf(memory, KEY)).toBe('content');
    expect(faulty.mutations).toBe(2);
  });

  it('is asked again for what is read', async () => {
    for (const read of [
      (driver: FaultyDriver) => textOf(driverWithRetries(driver, SOON), KEY),
      (driver: FaultyDriver) => driverWithRetries(driver, SOON).stat(KEY),
      (driver: FaultyDriver) => keysOf(driverWithRetries(driver, SOON)),
    ]) {
      const { memory, faulty } = failing({ kind: 'read', moment: 'before', lasting: false });
      await store(memory, KEY, 'content');
      await read(faulty);
      expect(faulty.reads).toBe(2);
    }
  });
});

describe('a put whose answer was lost', () => {
  it('is no success when the key holds other bytes', async () => {
    const { memory, faulty } = failing({ kind: 'mutation', moment: 'before', lasting: false });
    await store(memory, KEY, 'theirs!');
    const put = store(driverWithRetries(faulty, SOON), KEY, 'ours...');
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect(await textOf(memory, KEY)).toBe('theirs!');
  });
});

describe('a put that finds the key taken at once', () => {
  it('is refused though the bytes are the same: nothing was lost', async () => {
    const { memory, faulty } = failing({ kind: 'read', moment: 'before', lasting: false });
    await store(memory, KEY, 'same');
    const put = store(driverWithRetries(faulty, SOON), KEY, 'same');
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect([faulty.mutations, faulty.reads]).toEqual([1, 0]);
  });
});

describe('a store that stays away', () => {
  it('is given up after the last retry, with its own error', async () => {
    const { faulty } = failing({ kind: 'read', moment: 'before', lasting: true });
    await expect(driverWithRetries(faulty, SOON).stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(faulty.reads).toBe(3);
  });

  it('is waited for longer and longer, up to a limit', async () => {
    const waits: number[] = [];
    const clock = { ...systemClock, sleep: (wait: number) => Promise.resolve(void waits.push(wait)) };
    const { faulty } = failing({ kind: 'read', moment: 'before', lasting: true });
    const policy = { retries: 5, firstWaitMs: 1000, longestWaitMs: 5000 };
    await expect(driverWithRetries(faulty, policy, clock).stat(KEY)).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
    });
    const longest = [1000, 2000, 4000, 5000, 5000];
    expect(waits.map((wait, index) => wait >= longest[index]! / 2 && wait <= longest[index]!)).toEqual(
      longest.map(() => true),
    );
  });

  it('is not waited for once the signal aborts', async () => {
    const { faulty } = failing({ kind: 'mutation', moment: 'before', lasting: true });
    const stop = new AbortController();
    const patient = driverWithRetries(faulty, { retries: 5, firstWaitMs: 3_600_000, longestWaitMs: 3_600_000 });
    const put = patient.put(KEY, bodyOf('x'), { ifExists: 'fail', signal: stop.signal });
    setImmediate(() => {
      stop.abort();
    });
    await expect(put).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(faulty.mutations).toBe(1);
  });
});

describe('an error that waiting does not cure', () => {
  it.each(['STORAGE_DENIED', 'STORAGE_OBJECT_MISSING', 'INTERRUPTED'] as const)('is told at once: %s', async (code) => {
    const { faulty } = failing({ kind: 'read', moment: 'before', lasting: true }, code);
    await expect(driverWithRetries(faulty, SOON).stat(KEY)).rejects.toMatchObject({ code });
    expect(faulty.reads).toBe(1);
  });
});
