import { Mutex } from 'async-mutex';
import { isWaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import { CLAIMS, Claimant } from './claimant.ts';
import type { ObjectKey, StorageDriver } from './driver.ts';

/**
 * Write-once for stores that look and then write, be it always or for large bodies only (`createOnlyBytes`). See Claimant for
 * how; the store's listings must show what was stored before, which S3 and its kin promise.
 *
 * Put this around the deadlines and inside the retries.
 */
export function driverWithClaims(
  inner: StorageDriver,
  { instance, clock = systemClock }: { readonly instance: string; readonly clock?: Clock },
): StorageDriver {
  const { createOnlyBytes } = inner.features;
  if (createOnlyBytes === Infinity) return inner;
  const openFile = inner.openFile?.bind(inner);
  // In this process one after the other: to a key an instance has one claimant.
  const turns = new Map<ObjectKey, Mutex>();
  return {
    type: inner.type,
    features: { ...inner.features, createOnlyBytes: Infinity, storeCreateOnlyBytes: createOnlyBytes },
    ...(openFile === undefined ? {} : { openFile }),
    async put(key, body, options) {
      const { signal, temporary, largestBytes = Infinity } = options;
      // All that are ever stored under this key are created in one step: there is nobody who looks and then writes.
      const isAtomic = body.size > 0 && Math.max(body.size, largestBytes) <= createOnlyBytes;
      if (options.ifExists === 'replace' || isAtomic) {
        await inner.put(key, body, options);
        return;
      }
      const claimant = new Claimant(inner, key, { instance, clock, signal, temporary });
      const turn = turns.get(key) ?? new Mutex();
      turns.set(key, turn);
      try {
        await turn.runExclusive(async () => {
          try {
            if (body.size === 0 || body.size > createOnlyBytes) await claimant.create(body);
            else await claimant.createAtOnce(body);
          } catch (error) {
            // What others find, they rely on: so it must not be about to be replaced.
            if (createOnlyBytes > 0 && isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) await claimant.settled();
            throw error;
          }
        });
      } finally {
        if (!turn.isLocked()) turns.delete(key);
      }
    },
    get: (key, options) => inner.get(key, options),
    stat: (key, options) => inner.stat(key, options),
    async *list(prefix, options) {
      for await (const info of inner.list(prefix, options)) if (!info.key.startsWith(CLAIMS)) yield info;
    },
    remove: (key, options) => inner.remove(key, options),
    close: () => inner.close(),
  };
}
