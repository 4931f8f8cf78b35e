import { WaldenError } from '../src/errors.ts';
import type { StorageDriver } from './driver.ts';

/** What may be done to a store, whatever its credentials allow: read it, add to it, or change it too. */
export type AllowedAccess = 'read-only' | 'append-only' | 'read-write';

/** Refuses what is not allowed before it reaches the store. */
export function driverWithAccess(inner: StorageDriver, access: AllowedAccess): StorageDriver {
  if (access === 'read-write') return inner;
  const openFile = inner.openFile?.bind(inner);
  const refuse = (what: string): Promise<never> =>
    Promise.reject(new WaldenError('STORAGE_DENIED', `unable to ${what}: the repository is ${access} here`));
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined ? {} : { openFile }),
    put: (key, body, options) =>
      access === 'append-only' && options.ifExists === 'fail'
        ? inner.put(key, body, options)
        : refuse(`${options.ifExists === 'fail' ? 'store' : 'replace'} ${key}`),
    get: (key, options) => inner.get(key, options),
    stat: (key, options) => inner.stat(key, options),
    list: (prefix, options) => inner.list(prefix, options),
    remove: (key) => refuse(`remove ${key}`),
    close: () => inner.close(),
  };
}
