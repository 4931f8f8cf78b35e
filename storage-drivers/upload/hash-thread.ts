import { Worker } from 'node:worker_threads';
import { WaldenError } from '../../src/errors.ts';
import type { Digests, WantedDigests } from './digests.ts';
import type { HashRequest } from './hash-worker.ts';

/**
 * Hashing beside the sending. What is sent has to be hashed once or twice, as long as the sending itself takes: on the same
 * thread, one would wait for the other.
 */

interface Waiting {
  readonly resolve: (digests: Digests) => void;
  readonly reject: (error: unknown) => void;
}

/** One for the process, which answers in the order of the questions. */
class HashThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #bodies = 0;
  #failure: Error | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./hash-worker.js', import.meta.url), {
      // It makes nothing but small messages.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    this.#worker.on('message', (digests: Digests) => {
      this.#waiting.shift()?.resolve(digests);
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => {
      this.#fail(error);
    });
    this.#worker.on('exit', () => {
      this.#fail(new Error('it ended'));
    });
    this.#worker.unref();
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  begin(wanted: WantedDigests): number {
    this.#bodies += 1;
    this.tell({ kind: 'begin', body: this.#bodies, wanted });
    return this.#bodies;
  }

  tell(request: HashRequest): void {
    if (!this.hasFailed) this.#worker.postMessage(request);
  }

  /** @throws INTERNAL */
  async ask(request: HashRequest): Promise<Digests> {
    const answer = new Promise<Digests>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    if (this.#failure !== undefined) this.#fail(this.#failure);
    // Who waits for it must not see the process end before.
    this.#worker.ref();
    this.tell(request);
    return await answer;
  }

  #fail(cause: Error): void {
    this.#failure ??= cause;
    const error = new WaldenError('INTERNAL', `the thread that hashes uploads failed: ${cause.message}`, { cause });
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

let thread: HashThread | undefined;

function hashThread(): HashThread {
  if (thread === undefined || thread.hasFailed) thread = new HashThread();
  return thread;
}

/** As RunningDigests, of bytes that must stay as they are until they are hashed. What is not in shared memory is copied. */
export class DistantDigests {
  readonly #thread = hashThread();
  readonly #body: number;

  constructor(wanted: WantedDigests) {
    this.#body = this.#thread.begin(wanted);
  }

  /** @throws INTERNAL */
  async add(bytes: Uint8Array): Promise<Digests> {
    const { memory, offset } = inSharedMemory(bytes);
    return await this.#thread.ask({ kind: 'add', body: this.#body, memory, offset, length: bytes.byteLength });
  }

  /** @throws INTERNAL */
  async finish(): Promise<Digests> {
    return await this.#thread.ask({ kind: 'finish', body: this.#body });
  }

  /** Nothing more is asked about this body. */
  forget(): void {
    this.#thread.tell({ kind: 'forget', body: this.#body });
  }
}

function inSharedMemory(bytes: Uint8Array): { readonly memory: SharedArrayBuffer; readonly offset: number } {
  const { buffer, byteOffset, byteLength } = bytes;
  if (buffer instanceof SharedArrayBuffer) return { memory: buffer, offset: byteOffset };
  const memory = new SharedArrayBuffer(byteLength);
  new Uint8Array(memory).set(bytes);
  return { memory, offset: 0 };
}
