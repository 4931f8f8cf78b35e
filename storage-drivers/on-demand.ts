import type { Readable } from 'node:stream';
import { toWaldenError, WaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import { withDeadline } from '../src/platform/deadline.ts';
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
} from './driver.ts';

/** Until the store was reached: what asks for little, and gives no place to stage files in. */
const FEATURES_UNKNOWN: StorageFeatures = {
  createOnlyBytes: Infinity,
  maxConcurrency: 1,
  uploadMemoryBytes: 0,
  stagingDirectory: undefined,
};
/** A store that could not be opened is left alone for so long: who asks meanwhile hears the same error at once. */
const RETRY_AFTER_MS = 5_000;
const OPENING_DEADLINE_MS = 60_000;

/**
 * A store that is opened by its first call, and by a later one when that failed: a service starts and serves what it can
 * while one of its stores is away. Its features are those of the store from the moment when it is open.
 */
export class DriverOnDemand implements StorageDriver {
  readonly type: string;
  readonly #name: string;
  readonly #open: () => Promise<StorageDriver>;
  readonly #clock: Clock;
  #driver: StorageDriver | undefined;
  #opening: Promise<StorageDriver> | undefined;
  #failure: { readonly error: WaldenError; readonly at: number } | undefined;
  #closed = false;

  /** `name`: of the repository, for errors. */
  constructor(
    { type, name }: { readonly type: string; readonly name: string },
    open: () => Promise<StorageDriver>,
    clock: Clock = systemClock,
  ) {
    this.type = type;
    this.#name = name;
    this.#open = open;
    this.#clock = clock;
  }

  get features(): StorageFeatures {
    return this.#driver?.features ?? FEATURES_UNKNOWN;
  }

  get openFile(): StorageDriver['openFile'] {
    return this.#driver?.openFile?.bind(this.#driver);
  }

  /** Opens the store unless it is open. @throws what opening it throws */
  async opened(): Promise<StorageDriver> {
    if (this.#driver !== undefined) return this.#driver;
    if (this.#closed) throw new WaldenError('INTERRUPTED', `repository ${this.#name} was closed`);
    const age = this.#failure === undefined ? Infinity : Math.abs(this.#clock.now().getTime() - this.#failure.at);
    if (this.#failure !== undefined && age < RETRY_AFTER_MS) throw this.#failure.error;
    this.#opening ??= this.#openOnce().finally(() => (this.#opening = undefined));
    return await withDeadline(
      this.#opening,
      OPENING_DEADLINE_MS,
      () =>
        new WaldenError(
          'STORAGE_UNAVAILABLE',
          `repository ${this.#name} gave no answer for ${OPENING_DEADLINE_MS / 1000} seconds`,
        ),
    );
  }

  async put(key: ObjectKey, body: ObjectBody, options: PutOptions): Promise<void> {
    await (await this.opened()).put(key, body, options);
  }

  async get(key: ObjectKey, options?: GetOptions): Promise<Readable> {
    return await (await this.opened()).get(key, options);
  }

  async stat(key: ObjectKey, options?: CallOptions): Promise<ObjectInfo> {
    return await (await this.opened()).stat(key, options);
  }

  async *list(prefix: string, options?: ListOptions): AsyncGenerator<ObjectInfo, void, undefined> {
    yield* (await this.opened()).list(prefix, options);
  }

  async remove(key: ObjectKey, options?: CallOptions): Promise<void> {
    await (await this.opened()).remove(key, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#driver?.close();
  }

  async #openOnce(): Promise<StorageDriver> {
    try {
      const driver = await this.#open();
      if (this.#closed) {
        await driver.close();
        throw new WaldenError('INTERRUPTED', `repository ${this.#name} was closed`);
      }
      this.#driver = driver;
      this.#failure = undefined;
      return driver;
    } catch (thrown) {
      const error = toWaldenError(thrown);
      this.#failure = { error, at: this.#clock.now().getTime() };
      throw error;
    }
  }
}
