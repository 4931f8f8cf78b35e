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

/** When a call fails: before anything was done, or after it was done but before the answer came. */
export type FaultMoment = 'before' | 'after';

export interface Fault {
  /** The n-th mutation (put or remove) from the start, or the n-th read (get, stat or list); from 1. */
  readonly kind: 'mutation' | 'read';
  readonly at: number;
  readonly moment: FaultMoment;
  /** Once, or from then on: a store that died. */
  readonly lasting: boolean;
  readonly error?: WaldenError;
}

/** A store that fails where the test says, under the contract's own codes. */
export class FaultyDriver implements StorageDriver {
  readonly type = 'faulty';
  readonly #inner: StorageDriver;
  readonly #fault: Fault | undefined;
  mutations = 0;
  reads = 0;

  constructor(inner: StorageDriver, fault?: Fault) {
    this.#inner = inner;
    this.#fault = fault;
  }

  get features(): StorageFeatures {
    return this.#inner.features;
  }

  async put(key: ObjectKey, body: ObjectBody, options: PutOptions): Promise<void> {
    this.mutations += 1;
    await this.#around('mutation', this.mutations, () => this.#inner.put(key, body, options));
  }

  async get(key: ObjectKey, options?: GetOptions): Promise<Readable> {
    this.reads += 1;
    return await this.#around('read', this.reads, () => this.#inner.get(key, options));
  }

  async stat(key: ObjectKey, options?: CallOptions): Promise<ObjectInfo> {
    this.reads += 1;
    return await this.#around('read', this.reads, () => this.#inner.stat(key, options));
  }

  async *list(prefix: string, options?: ListOptions): AsyncGenerator<ObjectInfo> {
    this.reads += 1;
    await this.#around('read', this.reads, () => Promise.resolve());
    yield* this.#inner.list(prefix, options);
  }

  async remove(key: ObjectKey, options?: CallOptions): Promise<void> {
    this.mutations += 1;
    await this.#around('mutation', this.mutations, () => this.#inner.remove(key, options));
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  async #around<Result>(kind: Fault['kind'], count: number, work: () => Promise<Result>): Promise<Result> {
    const fault = this.#fault;
    const strikes =
      fault?.kind === kind && (count === fault.at || (fault.lasting && count > fault.at)) ? fault : undefined;
    if (strikes === undefined) return await work();
    if (strikes.moment === 'after' && count === strikes.at) await work();
    throw (
      strikes.error ?? new WaldenError('STORAGE_UNAVAILABLE', `the store failed at ${kind} ${count}, as the test wants`)
    );
  }
}
