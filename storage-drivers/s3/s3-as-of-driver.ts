import type { Readable } from 'node:stream';
import { WaldenError } from '../../src/errors.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectKey,
  StorageDriver,
  StorageFeatures,
} from '../driver.ts';
import { KeyPrefix } from '../key-prefix.ts';
import { objectKey } from '../object-key.ts';
import { retry } from '../retry.ts';
import { beginCall, type S3Call } from './s3-bucket.ts';
import { openClient } from './s3-client.ts';
import { REQUEST_RETRIES } from './s3-multipart.ts';
import type { S3Options } from './s3-options.ts';
import { PROBE } from './s3-probe.ts';
import { readObject } from './s3-read.ts';
import { S3Requests } from './s3-requests.ts';
import { assertVersioned, type S3Version, versionsAsOf } from './s3-versions.ts';

const OPEN_DEADLINE_MS = 60_000;
/** So many keys that were listed need no request to be found again. */
const MAX_REMEMBERED = 200_000;

/**
 * A bucket that keeps versions, as it was at a moment by the store's clock, whatever was removed or replaced since. It is
 * only read.
 */
export class S3AsOfDriver implements StorageDriver {
  readonly type = 's3';
  readonly features: StorageFeatures = {
    createOnlyBytes: 0,
    maxConcurrency: 8,
    uploadMemoryBytes: 0,
    stagingDirectory: undefined,
  };
  readonly #requests: S3Requests;
  readonly #prefix: KeyPrefix;
  readonly #asOf: Date;
  /** What was seen in listings: the past does not change. */
  readonly #remembered = new Map<ObjectKey, S3Version>();

  /** @throws CONFIG_INVALID, USAGE (the bucket keeps no versions), and the codes of a store out of reach */
  static async open(options: S3Options, { asOf }: { readonly asOf: Date }): Promise<S3AsOfDriver> {
    const prefix = new KeyPrefix(options.prefix ?? '');
    const requests = new S3Requests(await openClient(options), options);
    const signal = AbortSignal.timeout(OPEN_DEADLINE_MS);
    try {
      await retry(() => assertVersioned(requests.bucket, signal), REQUEST_RETRIES, { signal });
      return new S3AsOfDriver(requests, prefix, asOf);
    } catch (error) {
      requests.close();
      if (!signal.aborted) throw error;
      throw new WaldenError('STORAGE_UNAVAILABLE', `bucket ${options.bucket} did not answer in time`, { cause: error });
    }
  }

  private constructor(requests: S3Requests, prefix: KeyPrefix, asOf: Date) {
    this.#requests = requests;
    this.#prefix = prefix;
    this.#asOf = asOf;
  }

  put(key: ObjectKey): Promise<void> {
    return this.#refuse(`store ${key}`);
  }

  remove(key: ObjectKey): Promise<void> {
    return this.#refuse(`remove ${key}`);
  }

  async get(key: ObjectKey, options: GetOptions = {}): Promise<Readable> {
    const call = beginCall(`read ${key}`, options.signal);
    const { versionId, size } = await this.#find(key, call);
    const version = { key, name: this.#prefix.nameOf(key), versionId };
    return await readObject(this.#requests, version, { ...options, ...call }, () => Promise.resolve({ key, size }));
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const { size } = await this.#find(key, beginCall(`look at ${key}`, signal));
    return { key, size };
  }

  async *list(prefix: string, { signal, after }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const call = beginCall(`list ${prefix}`, signal);
    const behind = after === undefined ? {} : { after };
    const found = versionsAsOf(this.#requests.bucket, this.#prefix, {
      text: prefix,
      asOf: this.#asOf,
      ...behind,
      ...call,
    });
    for await (const version of found) {
      const { key, size } = version;
      if (key === PROBE) continue;
      if (this.#remembered.size < MAX_REMEMBERED) this.#remembered.set(key, version);
      yield { key, size };
    }
  }

  close(): Promise<void> {
    this.#requests.close();
    return Promise.resolve();
  }

  /** @throws STORAGE_OBJECT_MISSING */
  async #find(key: ObjectKey, call: S3Call): Promise<S3Version> {
    const remembered = this.#remembered.get(objectKey(key));
    if (remembered !== undefined) return remembered;
    const found = versionsAsOf(this.#requests.bucket, this.#prefix, { text: key, asOf: this.#asOf, ...call });
    for await (const version of found) {
      // A key stands before all that begin with it.
      if (version.key !== key) break;
      return version;
    }
    throw new WaldenError('STORAGE_OBJECT_MISSING', `there was no ${key} at ${this.#asOf.toISOString()}`);
  }

  #refuse(what: string): Promise<never> {
    const fact = `the repository is read as it was at ${this.#asOf.toISOString()}`;
    return Promise.reject(new WaldenError('STORAGE_DENIED', `unable to ${what}: ${fact}`));
  }
}
