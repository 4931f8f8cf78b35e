import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { driverWithClaims } from '../../../storage-drivers/with-claims.ts';
import { driverWithRetries } from '../../../storage-drivers/with-retry.ts';
import { bodyOf, keysOf, store, textOf } from '../../support/bodies.ts';
import { lookingDriver } from '../../support/looking-driver.ts';

const KEY = objectKey('main/wal/one');
const SMALL_BYTES = 4;
const LARGE_BYTES = 6;
/** After each step, what it set going comes to its next step: else bodies would be read only when nobody has a step to do. */
const SCHEDULER = fc.scheduler({
  act: async (step) => {
    await step();
    for (let turn = 0; turn < 12; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  },
});
/**
 * What it stores, how many of its puts are given up before it hears of them, after how many steps it begins, and by how many
 * milliseconds its clock is ahead.
 */
const SERVICE = fc.record({
  size: fc.constantFrom(SMALL_BYTES, LARGE_BYTES),
  given: fc.nat({ max: 2 }),
  begins: fc.nat({ max: 12 }),
  ahead: fc.nat({ max: 2 }),
});
const RETRIES = { retries: 3, firstWaitMs: 0, longestWaitMs: 0 };

/** The first puts of the object itself are given up at once, and take effect, or fail, when they come to it. */
function losingDriver(inner: StorageDriver, given: number, late: Promise<unknown>[]): StorageDriver {
  let left = given;
  return {
    ...bound(inner),
    async put(key, body, options) {
      const putting = inner.put(key, body, options);
      if (key !== KEY || left === 0) {
        await putting;
        return;
      }
      left -= 1;
      late.push(putting.catch(() => undefined));
      throw new WaldenError('STORAGE_UNAVAILABLE', 'no answer');
    },
  };
}

/**
 * Does not wait longer than a turn of the event loop, but remembers having waited; otherwise it stands still, as for all that
 * a service does within a millisecond.
 */
function hastyClock(ahead = 0): Clock {
  const start = systemClock.now().getTime() + ahead;
  let waited = 0;
  return {
    ...systemClock,
    now: () => new Date(start + waited),
    sleep: async (milliseconds) => {
      waited += milliseconds;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** Waits once, until what the gate holds may go on. */
function clockThatOpens({ open }: Gate): Clock {
  const clock = hastyClock();
  return {
    ...clock,
    sleep: async (milliseconds, signal) => {
      open();
      await clock.sleep(milliseconds, signal);
    },
  };
}

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

function gate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    opened,
    open: () => {
      open();
    },
  };
}

function withClaims(inner: StorageDriver, instance: string, clock = hastyClock()): StorageDriver {
  return driverWithClaims(inner, { instance, clock });
}

/** The store itself, claims and all. */
const allKeys = (memory: MemoryDriver): Promise<readonly string[]> => keysOf(memory);

describe('a store that looks and then writes', () => {
  it('is raced by two, without claims: what the claims are for', async () => {
    const looking = lookingDriver(new MemoryDriver(), async () => {
      await new Promise((resolve) => setImmediate(resolve));
    });
    const outcomes = await Promise.allSettled([store(looking, KEY, 'a'), store(looking, KEY, 'b')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  });

  it.each([
    ['never', 0],
    ['for small bodies only', SMALL_BYTES],
  ])(
    'lets exactly one of several services win, whatever the order of their steps (atomic %s)',
    async (_when, atomic) => {
      await fc.assert(
        fc.asyncProperty(SCHEDULER, fc.array(SERVICE, { minLength: 2, maxLength: 4 }), async (scheduler, services) => {
          const memory = new MemoryDriver();
          const step = (): Promise<unknown> => scheduler.schedule(Promise.resolve());
          const looking = lookingDriver(memory, step, atomic);
          const puts = Promise.allSettled(
            services.map(async ({ size, begins, ahead }, n) => {
              for (let turn = 0; turn < begins; turn += 1) await step();
              await store(withClaims(looking, `service-${n}`, hastyClock(ahead)), KEY, `${n}`.repeat(size));
            }),
          );
          await scheduler.waitFor(puts);
          const outcomes = await puts;
          const winners = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
          expect(winners).toHaveLength(1);
          expect(await textOf(memory, KEY)).toBe(`${winners[0]!}`.repeat(services[winners[0]!]!.size));
          for (const outcome of outcomes) {
            if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
          }
          expect(await allKeys(memory)).toEqual([KEY]);
        }),
        { numRuns: 500 },
      );
    },
  );

  // What is acknowledged stays, though a put that nobody heard of comes into effect at any later moment.
  it.each([
    ['never', 0],
    ['for small bodies only', SMALL_BYTES],
  ])('replaces nothing by a put that was given up and comes late (atomic %s)', async (_when, atomic) => {
    await fc.assert(
      fc.asyncProperty(SCHEDULER, fc.array(SERVICE, { minLength: 2, maxLength: 3 }), async (scheduler, services) => {
        const memory = new MemoryDriver();
        const late: Promise<unknown>[] = [];
        const step = (): Promise<unknown> => scheduler.schedule(Promise.resolve());
        const puts = Promise.allSettled(
          services.map(async ({ size, given, begins, ahead }, n) => {
            for (let turn = 0; turn < begins; turn += 1) await step();
            const losing = losingDriver(lookingDriver(memory, step, atomic), given, late);
            const patient = driverWithRetries(withClaims(losing, `service-${n}`, hastyClock(ahead)), RETRIES);
            await store(patient, KEY, `${n}`.repeat(size));
          }),
        );
        await scheduler.waitFor(puts);
        const outcomes = await puts;
        await scheduler.waitFor(Promise.allSettled(late));
        const winners = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
        expect(winners.length).toBeLessThanOrEqual(1);
        for (const n of winners) expect(await textOf(memory, KEY)).toBe(`${n}`.repeat(services[n]!.size));
      }),
      { numRuns: 500 },
    );
  });

  it('does not believe in a small object that a larger one is about to replace', async () => {
    const memory = new MemoryDriver();
    const writing = gate();
    const looked = gate();
    let steps = 0;
    // Of the five things that the larger one does until its object is there, the last is the write.
    const held = lookingDriver(
      memory,
      () => ((steps += 1) === 5 ? (looked.open(), writing.opened) : Promise.resolve()),
      4,
    );
    const large = store(withClaims(held, 'a'), KEY, 'larger');
    await looked.opened;
    const other = (): StorageDriver => withClaims(lookingDriver(memory, undefined, 4), 'b', clockThatOpens(writing));
    // Its own, which the store took; and that of somebody else, which it finds there.
    await expect(store(other(), KEY, 'tiny')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    await large;
    expect(await textOf(memory, KEY)).toBe('larger');
  });

  it('says that an object is there only when nobody is about to replace it', async () => {
    const memory = new MemoryDriver();
    await store(memory, KEY, 'tiny');
    const claim = objectKey(`.claims/${KEY}/a.1.${systemClock.now().getTime() + 3_600_000}`);
    await store(memory, claim, '');
    const driver = withClaims(lookingDriver(memory, undefined, 4), 'b');
    await expect(store(driver, KEY, 'tiny')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await expect(store(driver, KEY, 'larger')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await memory.remove(claim);
    await expect(store(driver, KEY, 'larger')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
  });

  it('keeps the claim of a put whose outcome is unknown, and the next attempt takes it up', async () => {
    const memory = new MemoryDriver();
    let isAway = true;
    const failing: StorageDriver = {
      ...bound(lookingDriver(memory)),
      put: async (key, body, options) => {
        if (key === KEY && isAway) throw new WaldenError('STORAGE_UNAVAILABLE', 'no answer');
        await memory.put(key, body, options);
      },
    };
    await expect(store(withClaims(failing, 'a'), KEY, 'of a')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    // Another service stays away for as long as that put may take effect.
    const other = store(withClaims(lookingDriver(memory), 'b'), KEY, 'of b');
    await expect(other).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    isAway = false;
    await store(withClaims(failing, 'a'), KEY, 'of a');
    expect(await textOf(memory, KEY)).toBe('of a');
    expect(await allKeys(memory)).toEqual([KEY]);
  });

  it('keeps the claim of a put whose outcome is unknown, though the next attempt begins at once and fails', async () => {
    const memory = new MemoryDriver();
    const failures = ['STORAGE_UNAVAILABLE', 'STORAGE_DENIED'] as const;
    let attempts = 0;
    const failing: StorageDriver = {
      ...bound(lookingDriver(memory)),
      put: async (key, body, options) => {
        if (key === KEY) throw new WaldenError(failures[attempts++]!, 'no');
        await memory.put(key, body, options);
      },
    };
    const driver = withClaims(failing, 'a');
    for (const code of failures) await expect(store(driver, KEY, 'of a')).rejects.toMatchObject({ code });
    expect(await allKeys(memory)).toEqual([expect.stringContaining('.claims/')]);
  });

  it('does not wait for a claim that is over', async () => {
    const memory = new MemoryDriver();
    const over = systemClock.now().getTime() - 1;
    await memory.put(objectKey(`.claims/${KEY}/a.1.${over}`), bodyOf(''), { ifExists: 'fail' });
    await store(withClaims(lookingDriver(memory), 'b'), KEY, 'of b');
    expect(await textOf(memory, KEY)).toBe('of b');
  });

  it('works with keys that cannot delete', async () => {
    const memory = new MemoryDriver();
    const keeping: StorageDriver = {
      ...bound(lookingDriver(memory)),
      remove: () => Promise.reject(new WaldenError('STORAGE_DENIED', 'no')),
    };
    await expect(
      withClaims(keeping, 'a').put(KEY, { ...bodyOf('x'), size: 2 }, { ifExists: 'fail' }),
    ).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    await store(withClaims(keeping, 'b'), KEY, 'of b');
    expect(await textOf(memory, KEY)).toBe('of b');
  });

  it('asks for nothing more where all that is ever stored under the key is created in one step', async () => {
    const memory = new MemoryDriver();
    let requests = 0;
    const counting = (): Promise<void> => {
      requests += 1;
      return Promise.resolve();
    };
    const driver = (instance: string): StorageDriver =>
      withClaims(lookingDriver(memory, counting, SMALL_BYTES), instance);
    const small = { ifExists: 'fail', largestBytes: SMALL_BYTES } as const;
    await driver('a').put(KEY, bodyOf('abcd'), small);
    await expect(driver('b').put(KEY, bodyOf('efgh'), small)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect([await textOf(memory, KEY), requests]).toEqual(['abcd', 2]);
  });

  it.each([
    ['an empty one, which no store creates by its bytes', ''],
    ['one that is larger than was said', 'abcdef'],
  ])('claims the key of %s all the same', async (_what, text) => {
    const memory = new MemoryDriver();
    const claimed: string[] = [];
    const watched: StorageDriver = {
      ...bound(lookingDriver(memory, undefined, SMALL_BYTES)),
      put: (key, body, options) => {
        claimed.push(key);
        return memory.put(key, body, options);
      },
    };
    await withClaims(watched, 'a').put(KEY, bodyOf(text), { ifExists: 'fail', largestBytes: SMALL_BYTES });
    expect(claimed).toEqual([expect.stringMatching(/^\.claims\//), KEY]);
  });

  it('shows no claims', async () => {
    const memory = new MemoryDriver();
    await memory.put(objectKey(`.claims/${KEY}/a.1.2`), bodyOf(''), { ifExists: 'fail' });
    expect(await keysOf(withClaims(lookingDriver(memory), 'b'))).toEqual([]);
  });

  it('is left as it is where it creates in one step', () => {
    const memory = new MemoryDriver();
    expect(driverWithClaims(memory, { instance: 'a' })).toBe(memory);
  });

  it('goes through retries', async () => {
    const memory = new MemoryDriver();
    const once = { retries: 1, firstWaitMs: 1, longestWaitMs: 1 };
    let puts = 0;
    const losing: StorageDriver = {
      ...bound(lookingDriver(memory)),
      put: async (key, body, options) => {
        await memory.put(key, body, options);
        puts += key === KEY ? 1 : 0;
        if (key === KEY) throw new WaldenError('STORAGE_UNAVAILABLE', 'the answer was lost');
      },
    };
    await store(driverWithRetries(withClaims(losing, 'a'), once), KEY, 'of a');
    expect(puts).toBe(1);
    expect(await textOf(memory, KEY)).toBe('of a');
  });
});

function bound(driver: StorageDriver): StorageDriver {
  return {
    type: driver.type,
    features: driver.features,
    put: driver.put.bind(driver),
    get: driver.get.bind(driver),
    stat: driver.stat.bind(driver),
    list: driver.list.bind(driver),
    remove: driver.remove.bind(driver),
    close: driver.close.bind(driver),
  };
}
