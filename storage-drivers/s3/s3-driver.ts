import type { Readable } from 'node:stream';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
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
import { KeyPrefix } from '../key-prefix.ts';
import type { StoreAccess } from '../registry.ts';
import { retry } from '../retry.ts';
import { sendWhole } from '../upload/upload.ts';
import { UploadMemory } from '../upload/upload-memory.ts';
import { beginCall, type S3Call } from './s3-bucket.ts';
import { openClient } from './s3-client.ts';
import { assertLockable, assertUnlocked, retentionFrom } from './s3-lock.ts';
import { putInParts, REQUEST_RETRIES } from './s3-multipart.ts';
import type { S3Options } from './s3-options.ts';
import { createsOnly, PROBE } from './s3-probe.ts';
import { readObject } from './s3-read.ts';
import { digestsFor, S3Requests } from './s3-requests.ts';
import { ABANDONED_MS, sweepUploads } from './s3-uploads.ts';

const MEBIBYTE = 1024 ** 2;
const UPLOAD_MEMORY_BYTES = 96 * MEBIBYTE;
const MAX_CONCURRENCY = 8;
/** For all that is asked of a store before it can be used. */
const OPEN_DEADLINE_MS = 60_000;

/** How bodies are sent. */
export interface S3UploadSizes {
  /** A body up to this size goes up in one request. */
  readonly singlePutBytes: number;
  /** The least size of a part of a larger one; stores want 5 MiB or more. */
  readonly partBytes: number;
}

const UPLOAD_SIZES: S3UploadSizes = { singlePutBytes: 32 * MEBIBYTE, partBytes: 16 * MEBIBYTE };

interface S3Use {
  readonly prefix: KeyPrefix;
  readonly sizes: S3UploadSizes;
  readonly lock: S3Options['objectLock'];
  /** Whether the store keeps conditions. */
  readonly conditional: boolean;
}

/**
 * Objects in a bucket of AWS S3, or of a store that speaks its protocol. A body goes up from memory, signed with its
 * SHA-256, which the store checks. A key is taken in one atomic step where the store keeps `If-None-Match: *`, which is
 * tried out when the store is opened for writing.
 */
export class S3Driver implements StorageDriver {
  readonly type = 's3';
  readonly features: StorageFeatures;
  readonly #requests: S3Requests;
  readonly #prefix: KeyPrefix;
  readonly #memory = new UploadMemory(UPLOAD_MEMORY_BYTES);
  readonly #sizes: S3UploadSizes;
  readonly #conditional: boolean;
  readonly #lock: S3Options['objectLock'];

  /**
   * For reading, no request is made. For writing, the store is asked whether it keeps conditions and, with `objectLock`,
   * whether the bucket has it; and what uploads a crash left long ago are given up.
   * @throws CONFIG_INVALID, and with access read-write the codes of a store out of reach
   */
  static async open(
    options: S3Options,
    { access, sizes = UPLOAD_SIZES }: { readonly access: StoreAccess; readonly sizes?: S3UploadSizes },
  ): Promise<S3Driver> {
    const prefix = new KeyPrefix(options.prefix ?? '');
    const requests = new S3Requests(await openClient(options), options);
    const { objectLock: lock } = options;
    if (access === 'read-only') return new S3Driver(requests, { prefix, sizes, lock, conditional: false });
    const signal = AbortSignal.timeout(OPEN_DEADLINE_MS);
    try {
      if (lock !== undefined) {
        await retry(() => assertLockable(requests.bucket, signal), REQUEST_RETRIES, { signal });
      }
      const conditional = await retry(() => createsOnly(requests, prefix, signal), REQUEST_RETRIES, { signal });
      // Without a prefix there may be others' uploads among them.
      if (prefix.text !== '')
        await sweepUploads(requests, prefix.text, new Date(systemClock.now().getTime() - ABANDONED_MS));
      return new S3Driver(requests, { prefix, sizes, lock, conditional });
    } catch (error) {
      requests.close();
      if (!signal.aborted) throw error;
      throw new WaldenError('STORAGE_UNAVAILABLE', `bucket ${options.bucket} did not answer in time`, { cause: error });
    }
  }

  private constructor(requests: S3Requests, { prefix, sizes, lock, conditional }: S3Use) {
    this.#requests = requests;
    this.#prefix = prefix;
    this.#sizes = sizes;
    this.#lock = lock;
    this.#conditional = conditional;
    this.features = {
      createOnlyBytes: conditional ? sizes.singlePutBytes : 0,
      maxConcurrency: MAX_CONCURRENCY,
      uploadMemoryBytes: this.#memory.bytes,
      stagingDirectory: undefined,
    };
  }

  async put(key: ObjectKey, body: ObjectBody, { ifExists, temporary = false, signal }: PutOptions): Promise<void> {
    const call = beginCall(`store ${key}`, signal);
    const name = this.#nameOf(key);
    const onlyNew = ifExists === 'fail';
    const conditional = this.#conditional;
    const retention = temporary || this.#lock === undefined ? undefined : retentionFrom(this.#lock, systemClock.now());
    if (body.size <= this.#sizes.singlePutBytes) {
      const digests = digestsFor(retention);
      await sendWhole(body, { memory: this.#memory, signal, digests }, async (piece) => {
        if (onlyNew && !conditional) await this.#assertFree(key, call);
        await this.#requests.put(name, piece, { ...call, retention, onlyNew: onlyNew && conditional });
      });
      return;
    }
    if (onlyNew) await this.#assertFree(key, call);
    const { partBytes } = this.#sizes;
    const memory = this.#memory;
    await putInParts(this.#requests, name, body, { ...call, memory, partBytes, onlyNew, conditional, retention });
  }

  async get(key: ObjectKey, options: GetOptions = {}): Promise<Readable> {
    const { signal } = options;
    const call = beginCall(`read ${key}`, signal);
    const name = this.#nameOf(key);
    return await readObject(this.#requests, { key, name }, { ...options, ...call }, () => this.stat(key, { signal }));
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const call = beginCall(`look at ${key}`, signal);
    const found = await this.#requests.head(this.#nameOf(key), call);
    if (found !== undefined) return { key, size: found.size };
    // An answer to HEAD has no body that could tell a missing object from a missing bucket: GET's answer has.
    const { body } = await this.#requests.get({ name: this.#nameOf(key) }, 'bytes=0-0', call);
    body.destroy();
    throw new WaldenError('STORAGE_UNAVAILABLE', `${key} came while it was looked for`);
  }

  async *list(prefix: string, { signal, after }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const call = beginCall(`list ${prefix}`, signal);
    const start = after === undefined ? undefined : this.#nameOf(after);
    let last: ObjectKey | undefined = after;
    for (let from: string | undefined; ;) {
      const page = await this.#requests.list(`${this.#prefix.text}${prefix}`, { ...call, after: start, from });
      for (const { name, size } of page.items) {
        const key = this.#prefix.keyOf(name);
        if (key === undefined || key === PROBE) continue;
        assertAscending(last, key);
        last = key;
        yield { key, size };
      }
      if (page.next === undefined) return;
      if (page.next === from) throw new WaldenError('STORAGE_UNAVAILABLE', 'the store gives the same page for ever');
      from = page.next;
    }
  }

  /**
   * A bucket with object lock keeps versions, and a removal only hides what is locked, from us alone: so it is looked
   * whether it is.
   */
  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    const call = beginCall(`remove ${key}`, signal);
    const name = this.#nameOf(key);
    try {
      if (this.#lock !== undefined) {
        // What is not there would get a marker that says so, or be refused.
        await this.stat(key, { signal });
        const found = await this.#requests.head(name, call);
        if (found !== undefined) assertUnlocked(found, systemClock.now(), call.attempted);
      }
      await this.#requests.remove(name, call);
    } catch (error) {
      if (!isWaldenError(error, 'STORAGE_OBJECT_MISSING')) throw error;
    }
  }

  close(): Promise<void> {
    this.#requests.close();
    return Promise.resolve();
  }

  async #assertFree(key: ObjectKey, call: S3Call): Promise<void> {
    if ((await this.#requests.head(this.#nameOf(key), call)) === undefined) return;
    throw new WaldenError('STORAGE_OBJECT_EXISTS', `unable to ${call.attempted}: it exists already`);
  }

  #nameOf(key: ObjectKey): string {
    if (key === PROBE) throw new WaldenError('FORMAT_INVALID', `${key} is no key of an object: it tries the store out`);
    return this.#prefix.nameOf(key);
  }
}

/** Who reads a listing relies on the order, and resumes by it: a store without one would lose objects unseen. */
function assertAscending(last: ObjectKey | undefined, key: ObjectKey): void {
  if (last === undefined || last < key) return;
  throw new WaldenError('STORAGE_UNAVAILABLE', `the store lists ${key} behind ${last}, out of order`, {
    hint: 'this store cannot hold a repository: its listings are not in ascending order',
  });
}
