import { toWaldenError, type WaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import type { StorageDriver } from './driver.ts';

export type StoreOperation = 'put' | 'get' | 'stat' | 'list' | 'remove' | 'openFile';

/** One call that has ended: a `get` when its stream is open, a `list` with its last page. */
export interface ObservedCall {
  readonly operation: StoreOperation;
  readonly milliseconds: number;
  /** Undefined: it succeeded. */
  readonly error: WaldenError | undefined;
}

/** Tells `observe` how long each call took and how it ended. Put this next to the driver: each attempt counts. */
export function driverWithObserver(
  inner: StorageDriver,
  observe: (call: ObservedCall) => void,
  clock: Clock = systemClock,
): StorageDriver {
  const watch = (operation: StoreOperation): ((error?: unknown) => void) => {
    const start = clock.now().getTime();
    return (error) => {
      const milliseconds = clock.now().getTime() - start;
      observe({ operation, milliseconds, error: error === undefined ? undefined : toWaldenError(error) });
    };
  };
  const observed = async <Result>(operation: StoreOperation, work: () => Promise<Result>): Promise<Result> => {
    const ended = watch(operation);
    try {
      const result = await work();
      ended();
      return result;
    } catch (error) {
      ended(error);
      throw error;
    }
  };
  const openFile = inner.openFile?.bind(inner);
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined
      ? {}
      : { openFile: (key, options) => observed('openFile', () => openFile(key, options)) }),
    put: (key, body, options) => observed('put', () => inner.put(key, body, options)),
    get: (key, options) => observed('get', () => inner.get(key, options)),
    stat: (key, options) => observed('stat', () => inner.stat(key, options)),
    async *list(prefix, options) {
      const ended = watch('list');
      let failure: unknown;
      try {
        yield* inner.list(prefix, options);
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        ended(failure);
      }
    },
    remove: (key, options) => observed('remove', () => inner.remove(key, options)),
    close: () => inner.close(),
  };
}
