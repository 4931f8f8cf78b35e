import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { isWaldenError } from '../../src/errors.ts';
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
import { KeyPrefix } from '../key-prefix.ts';
import type { StoreAccess } from '../registry.ts';
import { sendInParts, sendWhole } from '../upload/upload.ts';
import { UploadMemory } from '../upload/upload-memory.ts';
import { type GcsAnswer, GcsClient, parsed } from './gcs-client.ts';
import { answerError, type Attempt, connectionError, failure, member } from './gcs-errors.ts';
import { type GcsOptions, metadataOf } from './gcs-options.ts';
import { type NewObject, ResumableUpload, uploadWhole } from './gcs-upload.ts';

const MIB = 1024 * 1024;
const UPLOAD_MEMORY_BYTES = 96 * MIB;
/** One part is on its way while the next one is read: a session takes them one behind the other. */
const PARTS_IN_HAND = 2;
const PAGE = 1000;

/** How bodies go up; the parts of a session are multiples of 256 KiB. */
interface UploadSizes {
  readonly singlePutBytes: number;
  readonly partBytes: number;
}

const SIZES: UploadSizes = { singlePutBytes: 32 * MIB, partBytes: 16 * MIB };

/**
 * Objects of a bucket of Google Cloud Storage. The store is strongly consistent, shows an object only when it is whole,
 * and creates one atomically where there is none (`ifGenerationMatch=0`), in one request as in a resumable upload.
 */
export class GcsDriver implements StorageDriver {
  readonly type = 'gcs';
  readonly features: StorageFeatures;
  readonly #client: GcsClient;
  readonly #prefix: KeyPrefix;
  readonly #store: string;
  readonly #sizes: UploadSizes;
  readonly #memory = new UploadMemory(UPLOAD_MEMORY_BYTES);
  readonly #metadata: Readonly<Record<string, unknown>>;
  readonly #query: Readonly<Record<string, string>>;

  /** Reaches nothing yet: a bucket needs no preparation, whatever the access. @throws CONFIG_INVALID, FORMAT_INVALID */
  static async open(
    options: GcsOptions,
    use: { readonly access: StoreAccess } & Partial<UploadSizes>,
  ): Promise<GcsDriver> {
    return new GcsDriver(options, await GcsClient.open(options), { ...SIZES, ...use });
  }

  private constructor(options: GcsOptions, client: GcsClient, sizes: UploadSizes) {
    const { bucket, prefix, storageClass, kmsKey, tags } = options;
    this.#client = client;
    this.#prefix = new KeyPrefix(prefix ?? '');
    this.#store = `gs://${bucket}/${this.#prefix.text}`;
    this.#sizes = sizes;
    this.#metadata = { metadata: metadataOf(tags), ...(storageClass === undefined ? {} : { storageClass }) };
    this.#query = kmsKey === undefined ? {} : { kmsKeyName: kmsKey };
    this.features = {
      createOnlyBytes: Infinity,
      maxConcurrency: 8,
      uploadMemoryBytes: this.#memory.bytes,
      stagingDirectory: undefined,
    };
  }

  async put(key: ObjectKey, body: ObjectBody, { ifExists, signal }: PutOptions): Promise<void> {
    const attempt = this.#attempt(`store ${key}`, signal);
    const object: NewObject = {
      name: this.#prefix.nameOf(key),
      size: body.size,
      metadata: this.#metadata,
      query: { ...this.#query, ...(ifExists === 'fail' ? { ifGenerationMatch: '0' } : {}) },
    };
    try {
      if (body.size > this.#sizes.singlePutBytes) await this.#putInParts(object, body, attempt);
      else {
        await sendWhole(body, { memory: this.#memory, signal, digests: ['crc32c'] }, (piece) =>
          uploadWhole(this.#client, object, piece, attempt),
        );
      }
    } catch (error) {
      // A lock, or an account that may not replace, can be told before that the name is taken.
      if (ifExists === 'fail' && isWaldenError(error, 'STORAGE_DENIED') && (await this.#isThere(key, signal))) {
        throw failure('STORAGE_OBJECT_EXISTS', attempt, 'it exists already', { cause: error });
      }
      throw error;
    }
  }

  async get(key: ObjectKey, { offset = 0, length, signal }: GetOptions = {}): Promise<Readable> {
    const attempt = this.#attempt(`read ${key}`, signal);
    if (length === 0) return await this.#end(key, offset, attempt);
    const range = `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
    const response = await this.#client.send(
      {
        method: 'GET',
        url: this.#client.objectUrl(this.#prefix.nameOf(key), { alt: 'media' }),
        ...(offset === 0 && length === undefined ? {} : { headers: { range } }),
      },
      attempt,
    );
    if (response.statusCode !== 200 && response.statusCode !== 206) {
      const answer = await this.#client.whole(response, attempt);
      if (answer.status === 416 && length === undefined) return await this.#end(key, offset, attempt);
      throw await this.#absence(key, answer, attempt);
    }
    const given = extentOf(response);
    if (given?.offset !== offset || given.length !== (length ?? given.length)) {
      response.destroy();
      const what = given === undefined ? 'an unknown part' : `${given.length} bytes from ${given.offset}`;
      throw failure('STORAGE_SIZE', attempt, `the store gave ${what} instead of ${length ?? 'all'} from ${offset}`);
    }
    return exactly(response, given.length, key, (error) => connectionError(error, attempt), signal);
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const attempt = this.#attempt(`look at ${key}`, signal);
    const url = this.#client.objectUrl(this.#prefix.nameOf(key), { fields: 'size' });
    const answer = await this.#client.ask({ method: 'GET', url }, attempt, [200, 404]);
    if (answer.status === 404) throw await this.#absence(key, answer, attempt);
    return { key, size: sizeOf(parsed(answer, attempt), attempt) };
  }

  async *list(prefix: string, { signal, after }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const attempt = this.#attempt(`list ${prefix === '' ? 'everything' : prefix}`, signal);
    const query = {
      prefix: `${this.#prefix.text}${prefix}`,
      maxResults: String(PAGE),
      fields: 'items(name,size),nextPageToken',
      // From this name on, itself included.
      ...(after === undefined ? {} : { startOffset: this.#prefix.nameOf(after) }),
    };
    for (let next: unknown = ''; typeof next === 'string';) {
      const url = this.#client.objectUrl(undefined, next === '' ? query : { ...query, pageToken: next });
      const page = parsed(await this.#client.ask({ method: 'GET', url }, attempt), attempt);
      const items = member(page, 'items');
      for (const item of Array.isArray(items) ? (items as readonly unknown[]) : []) {
        const name = member(item, 'name');
        const key = typeof name === 'string' ? this.#prefix.keyOf(name) : undefined;
        if (key !== undefined && key !== after) yield { key, size: sizeOf(item, attempt) };
      }
      next = member(page, 'nextPageToken');
    }
  }

  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    const attempt = this.#attempt(`remove ${key}`, signal);
    const url = this.#client.objectUrl(this.#prefix.nameOf(key));
    const answer = await this.#client.ask({ method: 'DELETE', url }, attempt, [200, 204, 404]);
    if (answer.status === 404) await this.#assertAbsent(key, attempt);
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }

  async #putInParts(object: NewObject, body: ObjectBody, attempt: Attempt): Promise<void> {
    const upload = await ResumableUpload.begin(this.#client, object, attempt);
    try {
      await sendInParts(
        body,
        {
          memory: this.#memory,
          signal: attempt.signal,
          partBytes: this.#sizes.partBytes,
          concurrency: PARTS_IN_HAND,
          wholeDigests: ['crc32c'],
        },
        (part) => upload.send(part),
      );
    } catch (error) {
      await upload.cancel();
      throw error;
    }
  }

  /** No bytes, of an object that reaches to `offset`. */
  async #end(key: ObjectKey, offset: number, attempt: Attempt): Promise<Readable> {
    const { size } = await this.stat(key, { signal: attempt.signal });
    if (offset > size)
      throw failure('STORAGE_SIZE', attempt, `it has only ${size} bytes, wanted were some from ${offset}`);
    return exactly([], 0, key);
  }

  async #isThere(key: ObjectKey, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.stat(key, { signal });
      return true;
    } catch {
      // Then the denial is what there is to tell.
      return false;
    }
  }

  /** What an answer without the object means: of 404, that it is not there, if that is true. */
  async #absence(key: ObjectKey, answer: GcsAnswer, attempt: Attempt): Promise<Error> {
    if (answer.status !== 404) return answerError(answer, attempt);
    await this.#assertAbsent(key, attempt);
    return failure('STORAGE_OBJECT_MISSING', attempt, 'there is no such object');
  }

  /**
   * A 404 may also be of a missing bucket, or of somebody in between: a listing without the object is the proof. Whoever
   * may not list is answered 403 where there is nothing, so this needs no permission more.
   */
  async #assertAbsent(key: ObjectKey, attempt: Attempt): Promise<void> {
    const name = this.#prefix.nameOf(key);
    const query = { prefix: name, maxResults: '1', fields: 'kind,items(name)' };
    const answer = await this.#client.ask({ method: 'GET', url: this.#client.objectUrl(undefined, query) }, attempt);
    const listing = parsed(answer, attempt);
    // The name itself is the first of those that begin with it.
    const isListed = member(member(member(listing, 'items'), 0), 'name') === name;
    if (member(listing, 'kind') === 'storage#objects' && !isListed) return;
    throw failure('STORAGE_UNAVAILABLE', attempt, 'HTTP 404, but a listing does not agree');
  }

  #attempt(attempted: string, signal: AbortSignal | undefined): Attempt {
    return { attempted, store: this.#store, signal };
  }
}

/** Which bytes an answer brings; undefined when it does not say. */
function extentOf({ headers }: IncomingMessage): { readonly offset: number; readonly length: number } | undefined {
  const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(headers['content-range'] ?? '') ?? [];
  if (first !== undefined && last !== undefined) {
    return { offset: Number(first), length: Number(last) - Number(first) + 1 };
  }
  const length = headers['content-length'];
  return length === undefined ? undefined : { offset: 0, length: Number(length) };
}

/** The API writes numbers of 64 bits as text. */
function sizeOf(resource: unknown, attempt: Attempt): number {
  const size = Number(member(resource, 'size'));
  if (Number.isSafeInteger(size)) return size;
  throw failure('STORAGE_UNAVAILABLE', attempt, 'the answer names no size');
}
