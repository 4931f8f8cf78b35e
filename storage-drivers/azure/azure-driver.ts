import type { Agent } from 'node:http';
import { Readable } from 'node:stream';
import { type BlockBlobClient, ContainerClient } from '@azure/storage-blob';
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
import { exactly } from '../exact-stream.ts';
import { KeyPrefix } from '../key-prefix.ts';
import type { StoreAccess } from '../registry.ts';
import { azureAccess, contents, webAddress } from './azure-access.ts';
import { azureAgent, type Route } from './azure-agent.ts';
import { azureError } from './azure-errors.ts';
import { namesBehind } from './azure-list.ts';
import type { AzureOptions } from './azure-options.ts';
import { AzureUploads, UPLOAD_SIZES, type UploadSizes } from './azure-upload.ts';

/**
 * Objects as block blobs of one container. A blob is there, whole and durable, when the store has answered: an upload in
 * parts is nothing but unnamed blocks before its list is committed, in one step, on the condition that was asked for.
 */
export class AzureDriver implements StorageDriver {
  readonly type = 'azure';
  readonly features: StorageFeatures;
  readonly #container: ContainerClient;
  readonly #prefix: KeyPrefix;
  readonly #uploads: AzureUploads;
  readonly #agent: Agent;

  /** Makes no request. @throws CONFIG_INVALID */
  static async open(
    options: AzureOptions,
    // What is put is the caller's choice: nothing has to be prepared for writing.
    _use: { readonly access: StoreAccess },
    sizes: UploadSizes = UPLOAD_SIZES,
  ): Promise<AzureDriver> {
    const route: Route = {
      ca: options.caFile === undefined ? undefined : (await contents(options.caFile)).text,
      proxy: options.proxy === undefined ? undefined : webAddress(options.proxy, 'proxy'),
    };
    const { url, credential } = await azureAccess(options, route, process.env);
    const agent = azureAgent(new URL(url), route);
    // The SDK's types do not know the agent that its pipeline takes.
    const pipeline = { agent, retryOptions: { maxTries: 1 } };
    return new AzureDriver(new ContainerClient(url, credential, pipeline), agent, options, sizes);
  }

  private constructor(container: ContainerClient, agent: Agent, options: AzureOptions, sizes: UploadSizes) {
    this.#container = container;
    this.#agent = agent;
    this.#prefix = new KeyPrefix(options.prefix ?? '');
    this.#uploads = new AzureUploads(options, sizes);
    this.features = {
      createOnlyBytes: Infinity,
      maxConcurrency: 16,
      uploadMemoryBytes: this.#uploads.memoryBytes,
      stagingDirectory: undefined,
    };
  }

  async put(key: ObjectKey, body: ObjectBody, { ifExists, signal }: PutOptions): Promise<void> {
    const blob = this.#blob(key);
    const isTaken = async (): Promise<boolean> => ifExists === 'fail' && (await this.#has(key, signal));
    // All of a large body would else be on its way for nothing.
    if (this.#uploads.inParts(body) && (await isTaken())) throw taken(key);
    try {
      await this.#try(`store ${key}`, signal, (failure) =>
        this.#uploads.send(blob, body, { ifExists, signal, failure }),
      );
    } catch (error) {
      if (mayMeanTaken(error) && (await isTaken())) throw taken(key, error);
      throw await withLock(error, blob, signal);
    }
  }

  async get(key: ObjectKey, { offset = 0, length, signal }: GetOptions = {}): Promise<Readable> {
    if (length === 0) return await this.#nothingOf(key, offset, signal);
    try {
      return await this.#try(`read ${key}`, signal, (failure) => this.#download(key, offset, length, signal, failure));
    } catch (error) {
      // From the very end on there is nothing, which the store refuses to give.
      if (length === undefined && isWaldenError(error, 'STORAGE_SIZE')) {
        return await this.#nothingOf(key, offset, signal);
      }
      throw error;
    }
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const blob = this.#blob(key);
    const { contentLength } = await this.#try(`look at ${key}`, signal, () => blob.getProperties(withSignal(signal)));
    if (contentLength === undefined) throw new WaldenError('STORAGE_UNAVAILABLE', `the store gave no size of ${key}`);
    return { key, size: contentLength };
  }

  async *list(prefix: string, { signal, after }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const attempted = `list ${prefix}`;
    const begin = { prefix: `${this.#prefix.text}${prefix}`, after: after && this.#prefix.nameOf(after), signal };
    let last = '';
    try {
      for await (const { name, size } of namesBehind(this.#container, begin)) {
        const key = this.#prefix.keyOf(name);
        if (key === undefined) continue;
        if (key <= last) {
          throw new WaldenError('STORAGE_UNAVAILABLE', `the store listed ${key} behind ${last}, out of order`, {
            hint: 'use an account without a hierarchical namespace',
          });
        }
        last = key;
        yield { key, size };
      }
    } catch (error) {
      throw this.#failure(error, attempted, signal);
    }
  }

  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    const blob = this.#blob(key);
    try {
      // A blob with snapshots could not be removed without them.
      await this.#try(`remove ${key}`, signal, () =>
        blob.delete({ ...withSignal(signal), deleteSnapshots: 'include' }),
      );
    } catch (error) {
      if (!isWaldenError(error, 'STORAGE_OBJECT_MISSING')) throw await withLock(error, blob, signal);
    }
  }

  close(): Promise<void> {
    this.#agent.destroy();
    return Promise.resolve();
  }

  async #download(
    key: ObjectKey,
    offset: number,
    length: number | undefined,
    signal: AbortSignal | undefined,
    failure: (error: unknown) => WaldenError,
  ): Promise<Readable> {
    const answer = await this.#blob(key).download(offset, length, { ...withSignal(signal), maxRetryRequests: 0 });
    const { readableStreamBody: stream, contentLength } = answer;
    if (!(stream instanceof Readable) || contentLength === undefined) {
      throw new WaldenError('STORAGE_UNAVAILABLE', `the store gave no bytes of ${key}`);
    }
    if (length !== undefined && contentLength !== length) {
      stream.destroy();
      throw tooShort(key, offset, length, offset + contentLength);
    }
    return exactly(stream, contentLength, key, failure, signal);
  }

  /** No bytes, once it is certain that the object reaches so far. */
  async #nothingOf(key: ObjectKey, offset: number, signal: AbortSignal | undefined): Promise<Readable> {
    const { size } = await this.stat(key, { signal });
    if (offset > size) throw tooShort(key, offset, 0, size);
    return exactly([], 0, key, undefined, signal);
  }

  /** Proven: an object whose state is unknown is not there for this. */
  async #has(key: ObjectKey, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.stat(key, { signal });
      return true;
    } catch {
      // The failure that led here is the one to tell.
      return false;
    }
  }

  async #try<Result>(
    attempted: string,
    signal: AbortSignal | undefined,
    work: (failure: (error: unknown) => WaldenError) => Promise<Result>,
  ): Promise<Result> {
    const failure = (error: unknown): WaldenError => this.#failure(error, attempted, signal);
    try {
      return await work(failure);
    } catch (error) {
      throw failure(error);
    }
  }

  #failure(error: unknown, attempted: string, signal: AbortSignal | undefined): WaldenError {
    const { origin, pathname } = new URL(this.#container.url);
    return azureError(error, { attempted: `${attempted} in ${origin}${pathname}`, signal, now: systemClock.now() });
  }

  #blob(key: ObjectKey): BlockBlobClient {
    return this.#container.getBlockBlobClient(this.#prefix.nameOf(key));
  }
}

/**
 * Answers with which the store also refuses a taken name: whoever committed first discarded the blocks of the others, and
 * what a policy or a narrow SAS token protects from being replaced is there.
 */
const MAY_MEAN_TAKEN: ReadonlySet<unknown> = new Set([
  'InvalidBlockList',
  'BlobImmutableDueToPolicy',
  'BlobImmutableDueToLegalHold',
  'UnauthorizedBlobOverwrite',
]);

function taken(key: ObjectKey, cause?: unknown): WaldenError {
  return new WaldenError('STORAGE_OBJECT_EXISTS', `${key} exists already`, { cause });
}

function mayMeanTaken(error: unknown): boolean {
  return error instanceof WaldenError && MAY_MEAN_TAKEN.has(error.details['answer']);
}

function tooShort(key: ObjectKey, offset: number, length: number, size: number): WaldenError {
  return new WaldenError('STORAGE_SIZE', `${key} ends at ${size}, wanted were ${length} bytes from ${offset}`);
}

/** The error, and until when a policy locks the blob where the store says so: not where the policy is the container's. */
async function withLock(error: unknown, blob: BlockBlobClient, signal: AbortSignal | undefined): Promise<unknown> {
  if (!(error instanceof WaldenError) || error.details['answer'] !== 'BlobImmutableDueToPolicy') return error;
  const found = await blob.getProperties(withSignal(signal)).catch(() => undefined);
  const until = found?.immutabilityPolicyExpiresOn;
  if (until === undefined) return error;
  const { code, message, hint, details } = error;
  const moment = until.toISOString();
  return new WaldenError(code, `${message}: it is locked until ${moment}`, {
    details: { ...details, until: moment },
    hint,
  });
}

function withSignal(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
