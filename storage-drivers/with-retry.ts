import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { isWaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import type { CallOptions, ObjectBody, ObjectKey, StorageDriver } from './driver.ts';
import { retry, type RetryPolicy } from './retry.ts';

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
    retry(work, policy, { clock, signal: options?.signal });
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
