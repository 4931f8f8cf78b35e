import { isWaldenError, WaldenError } from '../../src/errors.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';

/**
 * A store that creates atomically up to `createOnlyBytes` only: for larger bodies it looks whether the key is taken and then
 * writes, as its driver must. `step` comes before each thing that it does, so that a test can put those of several writers
 * into any order.
 */
export function lookingDriver(
  inner: StorageDriver,
  step: () => Promise<unknown> = () => Promise.resolve(),
  createOnlyBytes = 0,
): StorageDriver {
  return {
    type: 'looking',
    features: { ...inner.features, createOnlyBytes },
    async put(key, body, options) {
      const isAtomic = body.size > 0 && body.size <= createOnlyBytes;
      if (options.ifExists === 'fail' && !isAtomic) {
        await step();
        const isTaken = await inner.stat(key, options).then(
          () => true,
          (error: unknown) => {
            if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return false;
            throw error;
          },
        );
        if (isTaken) throw new WaldenError('STORAGE_OBJECT_EXISTS', `${key} exists already`);
      }
      await step();
      await inner.put(key, body, { ...options, ifExists: isAtomic ? options.ifExists : 'replace' });
    },
    async get(key, options) {
      await step();
      return await inner.get(key, options);
    },
    async stat(key, options) {
      await step();
      return await inner.stat(key, options);
    },
    async *list(prefix, options) {
      await step();
      yield* inner.list(prefix, options);
    },
    async remove(key, options) {
      await step();
      await inner.remove(key, options);
    },
    close: () => inner.close(),
  };
}
