import type { StorageDriver } from './driver.ts';
import { EncryptedObjects } from './age/encrypted-objects.ts';
import type { EncryptedFile, EncryptFileInput } from './encrypt-file.ts';
import { listLogically, storedKey } from './age/logical-list.ts';
import type { ObjectKeys } from './age/object-keys.ts';
import { plainSize } from './age/payload.ts';

/** What the rooms above need to know of keys, of which only compose.ts knows where they are at home. */
export type { KeyFile } from './age/key-file.ts';
export type { KeyOptions, KeyRing, Keys } from './age/key-ring.ts';
export type { RewrapOutcome } from './age/rewrap.ts';

export interface EncryptionSettings {
  readonly keys: ObjectKeys;
  /** For encrypted twins of staged files, where the store has no directory for them; emptied by its owner at the start. */
  readonly stagingDirectory: string;
  /** Does the work of `encryptFile`, on a worker perhaps. */
  readonly encryptFile: (input: EncryptFileInput) => Promise<EncryptedFile>;
}

/**
 * Objects are encrypted before they reach the store, and decrypted when they come back: under the same names, with `.age`
 * behind them in the store. Keys, sizes and ranges are those of the objects as they were given. What stands in the store
 * without being encrypted is not seen.
 *
 * Put this around everything else: what is tried again, or resumed, is then the same bytes.
 */
export function driverWithEncryption(inner: StorageDriver, settings: EncryptionSettings): StorageDriver {
  const objects = new EncryptedObjects(inner, settings);
  const openFile = inner.openFile?.bind(inner);
  return {
    type: inner.type,
    // Plain bytes never lie on the file system of the store.
    features: { ...inner.features, stagingDirectory: undefined },
    beneath: inner,
    ...(openFile === undefined ? {} : { openFile: (key, options) => objects.openFile(openFile, key, options) }),
    put: (key, body, options) => objects.put(key, body, options),
    get: (key, options) => objects.get(key, options),
    async stat(key, options) {
      const { size } = await inner.stat(storedKey(key), options);
      return { key, size: plainSize(size) };
    },
    list: (prefix, options = {}) => listLogically(inner, prefix, options),
    async remove(key, options) {
      objects.forget(key);
      await inner.remove(storedKey(key), options);
    },
    close: () => inner.close(),
  };
}
