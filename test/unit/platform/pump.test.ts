import { describe, expect, it } from 'vitest';
import { Pump } from '../../../src/platform/pump.ts';

/** A clock whose sleepers a test wakes, and work that waits until it is let through. */
function scene(outcomes: readonly (Error | undefined)[] = []) {
  const sleeps: number[] = [];
  let awake = (): void => undefined;
  const clock = {
    now: () => new Date(0),
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        sleeps.push(milliseconds);
        if (signal?.aborted === true) reject(new Error('woken'));
        signal?.addEventListener('abort', () => {
          reject(new Error('woken'));
        });
        awake = resolve;
      }),
  };
  const failures: unknown[] = [];
  let runs = 0;
  const pump = new Pump(
    () => {
      const outcome = outcomes[runs];
      runs += 1;
      return outcome === undefined ? Promise.resolve() : Promise.reject(outcome);
    },
    { clock, failed: (error) => failures.push(error) },
  );
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  return {
    pump,
    sleeps,
    failures,
    settled,
    runs: () => runs,
    awake: () => {
      awake();
    },
  };
}

describe('work that is done over and over', () => {
  it('rests when there was nothing to do, and goes on at once when it is woken', async () => {
    const { pump, sleeps, settled, runs } = scene();
    pump.start();
    await settled();
    expect([runs(), sleeps.length]).toEqual([1, 1]);
    pump.wake();
    await settled();
    expect(runs()).toBe(2);
    await pump.stop(new Error('stop'));
    expect(runs()).toBe(2);
  });

  it('waits longer after each failure, whoever wakes it, and tells each', async () => {
    const { pump, sleeps, failures, settled, runs, awake } = scene([new Error('1'), new Error('2'), new Error('3')]);
    pump.start();
    await settled();
    pump.wake();
    await settled();
    expect(runs()).toBe(1);
    for (const expected of [2, 3, 4]) {
      awake();
      await settled();
      expect(runs()).toBe(expected);
    }
    expect(failures).toHaveLength(3);
    const [first = 0, second = 0, third = 0] = sleeps;
    expect(first).toBeLessThanOrEqual(1_000);
    expect(second).toBeGreaterThanOrEqual(1_000);
    expect(third).toBeGreaterThanOrEqual(2_000);
    await pump.stop(new Error('stop'));
  });

  it('does once more what came up while it worked', async () => {
    const { pump, settled, runs } = scene();
    pump.start();
    pump.wake();
    await settled();
    expect(runs()).toBe(2);
    await pump.stop(new Error('stop'));
  });
});
