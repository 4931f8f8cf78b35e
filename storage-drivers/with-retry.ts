import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { isWaldenError, toWaldenError, WaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import type { ObjectBody, ObjectKey, StorageDriver } from './driver.ts';

/**
 * How long a store is given to come back. Waits double from `firstWaitMs` up to `longestWaitMs`; each is shortened by up
 * to half at random, so that those who failed together do not come back together.
 */
export interface RetryPolicy {
  /** After the first attempt. */
  readonly retries: number;
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Tries again what may succeed later: errors whose code is retryable, but for INTERRUPTED. A `put` whose answer was lost
 * may have stored the object all the same: where a later attempt finds the key taken, the bytes there decide. Streams
 * and listings are tried again only until they are open: who reads on knows how far it came. Put this around the
 * deadlines, not inside them.
 */
export function driverWithRetries(
  inner: StorageDriver,
  policy: RetryPolicy,
  clock: Clock = systemClock,
): StorageDriver {
  const again = <Result>(work: () => Promise<Result>, options?: CallOptions): Promise<Result> =>
    retry(work, { ...policy, clock, signal: options?.signal });
  const openFile = inner.openFile?.bind(inner);
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined ? {} : { openFile: (key, options) => again(() => openFile(key, options), options) }),
    async put(key, body, options) {
      // Only what could have taken effect unheard may be ours.
      let unheard = false;
      await again(async () => {
        try {
          await inner.put(key, body, options);
        } catch (error) {
          if (unheard && isWaldenError(error, 'STORAGE_OBJECT_EXISTS') && (await holds(inner, key, body, options))) {
            return;
          }
          unheard ||= isWaldenError(error, 'STORAGE_UNAVAILABLE');
          throw error;
        }
      }, options);
    },
    get: (key, options) => again(() => inner.get(key, options), options),
    stat: (key, options) => again(() => inner.stat(key, options), options),
    async *list(prefix, options) {
      const { iterator, first } = await again(async () => {
        const opened = inner.list(prefix, options)[Symbol.asyncIterator]();
        return { iterator: opened, first: await opened.next() };
      }, options);
      try {
        for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
      } finally {
        await iterator.return?.();
      }
    },
    remove: (key, options) => again(() => inner.remove(key, options), options),
    close: () => inner.close(),
  };
}

async function retry<Result>(
  work: () => Promise<Result>,
  use: RetryPolicy & { readonly clock: Clock; readonly signal: AbortSignal | undefined },
): Promise<Result> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= use.retries || !mayHelp(error)) throw error;
    }
    const wait = Math.min(use.firstWaitMs * 2 ** attempt, use.longestWaitMs) * (0.5 + Math.random() / 2);
    try {
      await use.clock.sleep(wait, use.signal);
    } catch (error) {
      throw new WaldenError('INTERRUPTED', 'gave up to wait for the repository', { cause: error });
    }
  }
}

function mayHelp(error: unknown): boolean {
  const failure = toWaldenError(error);
  return failure.retryable && failure.code !== 'INTERRUPTED';
}

/** Whether the object has exactly the body's bytes. */
async function holds(
  inner: StorageDriver,
  key: ObjectKey,
  body: ObjectBody,
  { signal }: CallOptions,
): Promise<boolean> {
  const { size } = await inner.stat(key, { signal });
  if (size !== body.size) return false;
  const stream: Readable = await inner.get(key, { signal });
  const hash = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex') === (await body.sha256());
}
