import { randomBytes } from 'node:crypto';
import type { BlockBlobClient, BlockBlobCommitBlockListOptions } from '@azure/storage-blob';
import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { retry, type RetryPolicy } from '../retry.ts';
import { base64Of, type Digests } from '../upload/digests.ts';
import { sendInParts, sendWhole } from '../upload/upload.ts';
import { UploadMemory } from '../upload/upload-memory.ts';
import type { AzureOptions } from './azure-options.ts';

const MIB = 1024 * 1024;

/** In bytes. */
export interface UploadSizes {
  /** A body up to this size goes up in one request. */
  readonly singlePutBytes: number;
  /** Of larger ones, each part. */
  readonly partBytes: number;
}

export const UPLOAD_SIZES: UploadSizes = { singlePutBytes: 32 * MIB, partBytes: 16 * MIB };

const MEMORY_BYTES = 96 * MIB;
const PARTS_AT_A_TIME = 4;
/** So many blocks a blob may have. */
const MOST_PARTS = 50_000;
const PART_RETRIES: RetryPolicy = { retries: 4, firstWaitMs: 500, longestWaitMs: 10_000 };

interface Upload {
  readonly ifExists: 'fail' | 'replace';
  readonly signal: AbortSignal | undefined;
  /** Gives an error of the SDK its code. */
  readonly failure: (error: unknown) => WaldenError;
}

/** How bodies get to the store: each request with the MD5 of its bytes, which the store compares. */
export class AzureUploads {
  readonly #sizes: UploadSizes;
  readonly #memory = new UploadMemory(MEMORY_BYTES);
  readonly #accessTier: string | undefined;
  readonly #tags: Record<string, string> | undefined;
  readonly #encryptionScope: string | undefined;

  /** @throws CONFIG_INVALID for a tag that is not `key=value` */
  constructor({ accessTier, tags, encryptionScope }: AzureOptions, sizes: UploadSizes) {
    this.#sizes = sizes;
    this.#accessTier = accessTier;
    this.#tags = tags === undefined ? undefined : Object.fromEntries(tags.map(tagOf));
    this.#encryptionScope = encryptionScope;
  }

  get memoryBytes(): number {
    return this.#memory.bytes;
  }

  inParts(body: ObjectBody): boolean {
    return body.size > this.#sizes.singlePutBytes;
  }

  /** @throws what the SDK throws, and as sendWhole and sendInParts */
  async send(blob: BlockBlobClient, body: ObjectBody, upload: Upload): Promise<void> {
    if (this.inParts(body)) await this.#sendInParts(blob, body, upload);
    else await this.#sendWhole(blob, body, upload);
  }

  async #sendWhole(blob: BlockBlobClient, body: ObjectBody, upload: Upload): Promise<void> {
    const { signal } = upload;
    await sendWhole(body, { memory: this.#memory, signal, digests: ['md5'] }, async ({ bytes, length, digests }) => {
      const md5 = md5Of(digests);
      // The SDK passes the checksum of this request on, though its types know it for parts only.
      const options = {
        ...this.#options(upload),
        blobHTTPHeaders: { blobContentMD5: md5 },
        transactionalContentMD5: md5,
      };
      await blob.upload(bytes(), length, options);
    });
  }

  /**
   * Nothing is given up in the store when this fails, since there is nothing to see: blocks that no list names vanish with
   * the next upload of the blob, or after a week.
   */
  async #sendInParts(blob: BlockBlobClient, body: ObjectBody, upload: Upload): Promise<void> {
    const { signal, failure } = upload;
    // Another writer of the same blob uses other names. All have one length, as the store demands.
    const writer = randomBytes(16).toString('hex');
    const names: string[] = [];
    const partBytes = Math.max(this.#sizes.partBytes, Math.ceil(body.size / MOST_PARTS));
    const way = { memory: this.#memory, signal, partBytes, concurrency: PARTS_AT_A_TIME, digests: ['md5'] } as const;
    await sendInParts(body, way, async ({ number, length, bytes, digests }) => {
      const name = Buffer.from(`${writer}${String(number).padStart(6, '0')}`).toString('base64');
      names.push(name);
      const options = { ...this.#partOptions(upload), transactionalContentMD5: md5Of(digests) };
      const stage = (): Promise<unknown> =>
        blob.stageBlock(name, bytes(), length, options).catch((error: unknown) => {
          throw failure(error);
        });
      await retry(stage, PART_RETRIES, { signal });
    });
    await blob.commitBlockList(names, this.#options(upload));
  }

  /** Anew for each request: the SDK writes into what it is given. */
  #options(upload: Upload): BlockBlobCommitBlockListOptions {
    return {
      ...this.#partOptions(upload),
      conditions: upload.ifExists === 'fail' ? { ifNoneMatch: '*' } : {},
      ...(this.#accessTier === undefined ? {} : { tier: this.#accessTier }),
      ...(this.#tags === undefined ? {} : { tags: this.#tags }),
    };
  }

  #partOptions({ signal }: Upload): { abortSignal?: AbortSignal; encryptionScope?: string } {
    return {
      ...(signal === undefined ? {} : { abortSignal: signal }),
      ...(this.#encryptionScope === undefined ? {} : { encryptionScope: this.#encryptionScope }),
    };
  }
}

function md5Of(digests: Digests): Buffer {
  return Buffer.from(base64Of(digests, 'md5'), 'base64');
}

function tagOf(tag: string): readonly [string, string] {
  const at = tag.indexOf('=');
  if (at > 0) return [tag.slice(0, at), tag.slice(at + 1)];
  throw new WaldenError('CONFIG_INVALID', `${JSON.stringify(tag)} is no tag`, { hint: 'write tags as "key=value"' });
}
