import type { ObjectInfo, StorageDriver } from '../../../storage-drivers/driver.ts';
import type { MortalProcess } from './mortal-process.ts';

/**
 * A store far away as one process sees it: what it has stored is durable, each put or remove is a step of the process. An
 * answer that is lost on its way is the death at the step that comes next.
 */
export function mortalDriver(inner: StorageDriver, process: MortalProcess): StorageDriver {
  return {
    type: inner.type,
    features: inner.features,
    async put(key, body, options) {
      process.step(`put ${key}`);
      await inner.put(key, body, options);
    },
    async get(key, options) {
      process.assertAlive();
      return await inner.get(key, options);
    },
    async stat(key, options) {
      process.assertAlive();
      return await inner.stat(key, options);
    },
    async *list(prefix, options): AsyncGenerator<ObjectInfo> {
      process.assertAlive();
      yield* inner.list(prefix, options);
    },
    async remove(key, options) {
      process.step(`remove ${key}`);
      await inner.remove(key, options);
    },
    close: () => inner.close(),
  };
}
