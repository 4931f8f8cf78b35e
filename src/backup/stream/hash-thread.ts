import { Worker } from 'node:worker_threads';
import { type ErrorDocument, errorFromDocument, WaldenError } from '../../errors.ts';
import type { FileDigest, HashRange } from './unit-hash.ts';

const YOUNG_GENERATION_MB = 2;

export interface HashSetup {
  /** By their numbers. */
  readonly rooms: readonly SharedArrayBuffer[];
}

/** What is to be hashed of a room. */
export interface HashWork {
  readonly room: number;
  readonly ranges: readonly HashRange[];
}

export type FromHasher =
  | { readonly kind: 'hashed'; readonly digests: readonly FileDigest[] }
  | { readonly kind: 'failed'; readonly error: ErrorDocument };

export interface UnitHasher {
  /**
   * The digests of the files that end in this room. Rooms are hashed in the order in which they are given.
   * @throws INTERNAL, LOCAL_IO
   */
  hash(work: HashWork): Promise<readonly FileDigest[]>;
}

interface Waiting {
  readonly resolve: (digests: readonly FileDigest[]) => void;
  readonly reject: (error: WaldenError) => void;
}

/**
 * The thread that hashes what a base backup brings: the files are one stream of bytes each, so no more than one thread can, and
 * the one that reads from the server has enough to do.
 */
export class HashThread implements UnitHasher {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #failure: WaldenError | undefined;

  /** `failed` is told, once, why nothing is hashed any more. */
  constructor(setup: HashSetup, failed: (error: WaldenError) => void) {
    this.#worker = new Worker(new URL('./hash-worker.js', import.meta.url), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const fail = (error: WaldenError): void => {
      if (this.#failure !== undefined) return;
      this.#failure = error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
      failed(error);
    };
    this.#worker.on('message', (message: FromHasher) => {
      if (message.kind === 'failed') fail(errorFromDocument(message.error));
      else this.#waiting.shift()?.resolve(message.digests);
    });
    this.#worker.once('error', (cause) => {
      fail(new WaldenError('INTERNAL', `the thread that hashes the base backup failed: ${cause.message}`, { cause }));
    });
    this.#worker.once('exit', () => {
      fail(new WaldenError('INTERNAL', 'the thread that hashes the base backup ended without a word'));
    });
  }

  hash(work: HashWork): Promise<readonly FileDigest[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(work);
    });
  }

  /** What is still being hashed is needed by nobody. */
  async end(): Promise<void> {
    this.#failure ??= new WaldenError('INTERRUPTED', 'the hashing was ended');
    await this.#worker.terminate();
  }
}
