import type { S3Client } from '@aws-sdk/client-s3';
import { WaldenError } from '../../src/errors.ts';
import { s3Error } from './s3-errors.ts';
import type { S3Options } from './s3-options.ts';

/** One request as its caller sees it. */
export interface S3Call {
  /** For people: `store main/wal/…`. */
  readonly attempted: string;
  readonly signal?: AbortSignal | undefined;
}

export interface S3Page<Item, Place = string> {
  readonly items: readonly Item[];
  /** Where the next page begins, if there is one. */
  readonly next: Place | undefined;
}

/** What is the same for every request about one bucket: the client, and errors as WaldenErrors. */
export class S3Bucket {
  readonly name: string;
  /** For people: bucket and endpoint. */
  readonly store: string;
  readonly #client: S3Client;

  constructor(client: S3Client, { bucket, endpoint }: S3Options) {
    this.#client = client;
    this.name = bucket;
    this.store = `bucket ${bucket}${endpoint === undefined ? '' : ` at ${new URL(endpoint).origin}`}`;
  }

  /** Where an object is, in the SDK's words. */
  at(name: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.name, Key: name };
  }

  /** @param operation as S3 names it: `PutObject` */
  async ask<Answer>(
    operation: string,
    call: S3Call,
    send: (client: S3Client, http: { abortSignal?: AbortSignal }) => Promise<Answer>,
  ): Promise<Answer> {
    const { signal } = call;
    try {
      return await send(this.#client, signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      throw this.errorOf(error, operation, call);
    }
  }

  errorOf(error: unknown, operation: string, { attempted, signal }: S3Call): WaldenError {
    return s3Error(error, { operation, attempted, store: this.store, signal });
  }

  /** What no store may leave out. @throws STORAGE_UNAVAILABLE */
  told<Fact>(fact: Fact | undefined, what: string): Fact {
    if (fact === undefined) throw new WaldenError('STORAGE_UNAVAILABLE', `${this.store} did not tell ${what}`);
    return fact;
  }

  /** Ends the requests that are under way too. */
  close(): void {
    this.#client.destroy();
  }
}

/** @throws INTERRUPTED where the caller has given up already */
export function beginCall(attempted: string, signal: AbortSignal | undefined): S3Call {
  if (signal?.aborted === true) {
    throw new WaldenError('INTERRUPTED', `gave up to ${attempted}`, { cause: signal.reason });
  }
  return { attempted, signal };
}
