import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ObjectFile, StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { driverWithDeadlines } from '../../../storage-drivers/with-deadline.ts';
import { bodyOf, collect, keysOf } from '../../support/bodies.ts';
import { until, within } from '../../support/until.ts';

const KEY = objectKey('key');
const AT_ONCE = { answerMs: 20, putMs: 20 };
const LATE = { code: 'STORAGE_UNAVAILABLE' };

function never<Result>(): Promise<Result> {
  return new Promise<Result>(() => undefined);
}

/** A store of which one call is another. */
function withCall(call: Partial<StorageDriver>): StorageDriver {
  const memory = new MemoryDriver();
  return driverWithDeadlines(
    {
      type: memory.type,
      features: memory.features,
      put: (...parameters) => memory.put(...parameters),
      get: (...parameters) => memory.get(...parameters),
      stat: (...parameters) => memory.stat(...parameters),
      list: (...parameters) => memory.list(...parameters),
      remove: (...parameters) => memory.remove(...parameters),
      close: () => memory.close(),
      ...call,
    },
    AT_ONCE,
  );
}

describe('a store that hangs', () => {
  it('is out of reach, whatever it was asked', async () => {
    const put = withCall({ put: never }).put(KEY, bodyOf('x'), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject(LATE);
    await expect(withCall({ get: never }).get(KEY)).rejects.toMatchObject(LATE);
    await expect(withCall({ stat: never }).stat(KEY)).rejects.toMatchObject(LATE);
    await expect(withCall({ remove: never }).remove(KEY)).rejects.toMatchObject(LATE);
    const list = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: never }) });
    await expect(keysOf(withCall({ list }))).rejects.toMatchObject(LATE);
  });

  it('is told that nobody waits any more', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const hang = (_key: unknown, ...rest: readonly unknown[]): Promise<never> => {
      signals.push((rest.at(-1) as { readonly signal?: AbortSignal }).signal);
      return never();
    };
    const driver = withCall({ put: hang, get: hang, stat: hang, remove: hang });
    const mine = new AbortController();
    await expect(driver.put(KEY, bodyOf('x'), { ifExists: 'fail', signal: mine.signal })).rejects.toMatchObject(LATE);
    await expect(driver.get(KEY)).rejects.toMatchObject(LATE);
    await expect(driver.stat(KEY)).rejects.toMatchObject(LATE);
    await expect(driver.remove(KEY)).rejects.toMatchObject(LATE);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, true, true]);
    expect(mine.signal.aborted).toBe(false);
  });

  it('hears when the caller gives up', async () => {
    const mine = new AbortController();
    let heard: AbortSignal | undefined;
    const stat = (_key: unknown, options?: { readonly signal?: AbortSignal | undefined }): Promise<never> =>
      new Promise((_resolve, reject) => {
        heard = options?.signal;
        heard?.addEventListener('abort', () => {
          reject(new Error('aborted'));
        });
      });
    const asked = driverWithDeadlines({ ...withCall({}), stat }, { answerMs: 60_000, putMs: 60_000 }).stat(KEY, {
      signal: mine.signal,
    });
    mine.abort();
    await expect(asked).rejects.toThrow('aborted');
    expect(heard?.aborted).toBe(true);
  });

  it('is out of reach when a stream stops in the middle, and the stream is closed', async () => {
    const stalled = new Readable({ read: () => undefined });
    stalled.push('beginning');
    const stream = await withCall({ get: () => Promise.resolve(stalled) }).get(KEY);
    await expect(collect(stream)).rejects.toMatchObject(LATE);
    await until(() => stalled.destroyed, { what: 'the stalled stream to be closed' });
  });

  it('has a stream that opens too late closed', async () => {
    const late = Readable.from(['late']);
    let answer: ((stream: Readable) => void) | undefined;
    const get = (): Promise<Readable> =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await expect(withCall({ get }).get(KEY)).rejects.toMatchObject(LATE);
    answer?.(late);
    await until(() => late.destroyed, { what: 'the late stream to be closed' });
  });

  it('tells those who read a file themselves how long one read may take', async () => {
    const openFile = (): Promise<ObjectFile> =>
      Promise.resolve({ descriptor: 0, offset: 0, length: 1, close: () => Promise.resolve() });
    const file = await withCall({ openFile }).openFile?.(KEY);
    expect(file?.readDeadline?.ms).toBe(AT_ONCE.answerMs);
    expect(file?.readDeadline?.late()).toMatchObject(LATE);
  });

  it('has a file that opens too late closed', async () => {
    let answer: ((file: ObjectFile) => void) | undefined;
    const openFile = (): Promise<ObjectFile> => new Promise((resolve) => (answer = resolve));
    await expect(withCall({ openFile }).openFile?.(KEY)).rejects.toMatchObject(LATE);
    const closed = new Promise<void>((resolve) => {
      const close = (): Promise<void> => {
        resolve();
        return Promise.resolve();
      };
      answer?.({ descriptor: 0, offset: 0, length: 1, close });
    });
    await within(closed, 5_000, 'the late file to be closed');
  });
});
