import { Readable } from 'node:stream';
import { WaldenError } from '../../src/errors.ts';
import type { ObjectInfo, ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';

/** A store in memory whose reads a test may watch, damage or fail. */
export interface StubDriver extends StorageDriver {
  readonly objects: Map<string, Buffer>;
  /** Called before each `get`; what it throws, `get` throws. */
  beforeGet: (key: ObjectKey, offset: number, length: number | undefined) => void | Promise<void>;
}

export function stubDriver(): StubDriver {
  const objects = new Map<string, Buffer>();
  const bytesOf = (key: ObjectKey): Buffer => {
    const bytes = objects.get(key);
    if (bytes === undefined) throw new WaldenError('STORAGE_OBJECT_MISSING', `there is no object ${key}`);
    return bytes;
  };
  const driver: StubDriver = {
    type: 'stub',
    features: { createOnlyBytes: Infinity, maxConcurrency: 4, uploadMemoryBytes: 0, stagingDirectory: undefined },
    objects,
    beforeGet: () => undefined,
    async put(key, body) {
      const chunks: Buffer[] = [];
      for await (const chunk of body.open()) chunks.push(chunk as Buffer);
      objects.set(key, Buffer.concat(chunks));
    },
    async get(key, { offset = 0, length } = {}) {
      await driver.beforeGet(key, offset, length);
      const bytes = bytesOf(key).subarray(offset, length === undefined ? undefined : offset + length);
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += 65536) chunks.push(Buffer.from(bytes.subarray(at, at + 65536)));
      return Readable.from(chunks);
    },
    stat: (key) => Promise.resolve({ key, size: bytesOf(key).length }),
    async *list(prefix, { after = '' as ObjectKey } = {}) {
      await Promise.resolve();
      for (const key of [...objects.keys()].sort()) {
        if (key.startsWith(prefix) && key > after)
          yield { key: key as ObjectKey, size: objects.get(key)!.length } satisfies ObjectInfo;
      }
    },
    remove(key) {
      objects.delete(key);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
  return driver;
}
