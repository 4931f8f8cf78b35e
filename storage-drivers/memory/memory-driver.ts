import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { WaldenError } from '../../src/errors.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectKey,
  PutOptions,
  StorageDriver,
  StorageFeatures,
} from '../driver.ts';
import { exactly } from '../exact-stream.ts';
import { objectKey } from '../object-key.ts';

/** A store that forgets everything with its process: for tests, under the same contract. */
export class MemoryDriver implements StorageDriver {
  readonly type = 'memory';
  readonly features: StorageFeatures = {
    createOnlyBytes: Infinity,
    maxConcurrency: 8,
    uploadMemoryBytes: 0,
    stagingDirectory: undefined,
  };
  readonly #objects = new Map<ObjectKey, Buffer>();

  async put(key: ObjectKey, body: ObjectBody, { ifExists, signal }: PutOptions): Promise<void> {
    assertNotAborted(signal);
    const name = objectKey(key);
    const chunks: Buffer[] = [];
    for await (const chunk of body.open() as AsyncIterable<Buffer>) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== body.size || createHash('sha256').update(bytes).digest('hex') !== (await body.sha256())) {
      throw new WaldenError('STORAGE_SIZE', `the body of ${key} gave other bytes than it promised`);
    }
    if (ifExists === 'fail' && this.#objects.has(name)) {
      throw new WaldenError('STORAGE_OBJECT_EXISTS', `${key} exists already`);
    }
    this.#objects.set(name, bytes);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the contract is asynchronous
  async get(key: ObjectKey, options: GetOptions = {}): Promise<Readable> {
    assertNotAborted(options.signal);
    const bytes = this.#bytes(key);
    const start = options.offset ?? 0;
    const length = options.length ?? Math.max(0, bytes.length - start);
    if (start + length > bytes.length) throw new WaldenError('STORAGE_SIZE', `${key} has only ${bytes.length} bytes`);
    const part = Buffer.from(bytes.subarray(start, start + length));
    return exactly(part.length === 0 ? [] : [part], length, key, undefined, options.signal);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the contract is asynchronous
  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    assertNotAborted(signal);
    return { key, size: this.#bytes(key).length };
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the contract is asynchronous
  async *list(prefix: string, { signal, after = '' as ObjectKey }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    for (const key of [...this.#objects.keys()].sort()) {
      assertNotAborted(signal);
      const bytes = this.#objects.get(key);
      if (key.startsWith(prefix) && key > after && bytes !== undefined) yield { key, size: bytes.length };
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the contract is asynchronous
  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    assertNotAborted(signal);
    this.#objects.delete(objectKey(key));
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  /** Changes stored bytes behind the contract's back, as a failing disk does. */
  damage(key: ObjectKey, change: (bytes: Buffer) => Buffer): void {
    this.#objects.set(key, change(Buffer.from(this.#bytes(key))));
  }

  #bytes(key: ObjectKey): Buffer {
    const bytes = this.#objects.get(objectKey(key));
    if (bytes === undefined) throw new WaldenError('STORAGE_OBJECT_MISSING', `there is no ${key}`);
    return bytes;
  }
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new WaldenError('INTERRUPTED', 'gave up', { cause: signal.reason });
}
