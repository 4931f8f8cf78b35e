import type { Readable } from 'node:stream';
import type { SealedPart } from '../src/platform/sealed-chunks.ts';

/**
 * The contract of every store. Six byte-level duties; a driver never learns what a segment is.
 *
 * What `get`, `stat` and `list` show is durable, unless the store was opened for reading only: callers record it, and
 * acknowledge what they find, as if they had put it.
 *
 * Drivers turn their store's errors into WaldenErrors with the codes named here. They never log and never retry, but for
 * the parts of a large upload: the wrappers in this folder do. A signal that aborts also ends the request under way.
 */

/**
 * Slash-separated path of an object below the repository's prefix. Made of 1 to 1,024 bytes of `[A-Za-z0-9._-]` and
 * `/`; no empty, `.` or `..` part. `assertObjectKey` checks it.
 */
export type ObjectKey = string & { readonly __objectKey: unique symbol };

/** Lower-case hex. */
export type Sha256Hex = string & { readonly __sha256: unique symbol };

/** What one store can do. */
export interface StorageFeatures {
  /**
   * `put` with ifExists 'fail' is one atomic step in the store for bodies of up to so many bytes: none (0), all
   * (Infinity), or those that go up in one request. For larger ones the driver looks first and then writes, which a
   * wrapper has to make safe.
   */
  readonly createOnlyBytes: number;
  /** The same of the store itself, where a wrapper adds to it. */
  readonly storeCreateOnlyBytes?: number;
  /** Requests worth keeping in flight. */
  readonly maxConcurrency: number;
  /** The most memory that uploads hold at one time, in bytes: what does not fit waits. */
  readonly uploadMemoryBytes: number;
  /**
   * A directory on the store's own file system for files about to be stored: a staged file's `put` is then a link, not
   * a copy. Undefined where the store has no file system.
   */
  readonly stagingDirectory: string | undefined;
}

/** Bytes to store, readable again from the start so that a retry can resend them. */
export interface ObjectBody {
  readonly size: number;
  /** Of the stored (compressed) bytes; may cost a reading of them all, so only for a driver that copies or sends them. */
  readonly sha256: () => Promise<Sha256Hex>;
  /**
   * A file that holds exactly these bytes, and that nobody will write again; already fsynced where the driver has a
   * `stagingDirectory`: it may link the file instead of copying. The caller unlinks its own name afterwards.
   */
  readonly path: string | undefined;
  /**
   * The same bytes, all of them, where they are in memory. For one attempt to store them: whoever asks again may hold them
   * while the first still does.
   */
  readonly bytes?: (() => Uint8Array) | undefined;
  open(): Readable;
}

export interface ObjectInfo {
  readonly key: ObjectKey;
  readonly size: number;
}

/** An open file that holds an object, or a part of it. */
export interface ObjectFile {
  /** Good for every thread of the process. */
  readonly descriptor: number;
  /** Of the part that was asked for, in the file. */
  readonly offset: number;
  readonly length: number;
  /** Set where the part is encrypted: how the bytes that were asked for are got out of it. */
  readonly sealed?: SealedPart;
  /** When one read takes so long, in milliseconds, the store is out of reach; undefined: it takes what it takes. */
  readonly readDeadline?: { readonly ms: number; readonly late: () => Error };
  close(): Promise<void>;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends CallOptions {
  readonly ifExists: 'fail' | 'replace';
  /** Soon removed by who stores it: never locked, where a store locks objects. */
  readonly temporary?: boolean | undefined;
  /**
   * Nobody ever stores more than so many bytes under this key. Where the store creates so much in one step, nothing else is
   * needed to keep two writers apart.
   */
  readonly largestBytes?: number | undefined;
}

/** Which bytes: by default all of them. */
export interface GetOptions extends CallOptions {
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
}

export interface ListOptions extends CallOptions {
  readonly after?: ObjectKey | undefined;
}

export interface StorageDriver {
  readonly type: string;
  readonly features: StorageFeatures;
  /** Of a store that encrypts: the same store with the objects as they stand in it, under the names that they have there. */
  readonly beneath?: StorageDriver;

  /**
   * Resolves only when the object is durable and whole; before that no reader sees any of it. With an already aborted
   * signal nothing is changed.
   * @throws STORAGE_OBJECT_EXISTS ('fail' and the key is taken; the old bytes are untouched), STORAGE_SIZE (the body gave
   * other bytes than `size` and `sha256` say), STORAGE_FULL, STORAGE_DENIED, STORAGE_UNAVAILABLE (the object may exist all
   * the same: a later STORAGE_OBJECT_EXISTS is settled by reading back and comparing), INTERRUPTED (the signal).
   */
  put(key: ObjectKey, body: ObjectBody, options: PutOptions): Promise<void>;

  /**
   * Bytes [offset, offset + length); by default all of them. The stream fails with STORAGE_SIZE rather than end early.
   * @throws STORAGE_OBJECT_MISSING, and the codes of a store out of reach. MISSING is a proof: the store answered.
   */
  get(key: ObjectKey, options?: GetOptions): Promise<Readable>;

  /**
   * The same bytes, for a worker thread to read itself; only of stores whose objects are files of this host, whole and
   * never written again. The caller closes it, when nobody reads it any more.
   * @throws as `get`, and STORAGE_SIZE when the object is shorter
   */
  readonly openFile?: ((key: ObjectKey, options?: GetOptions) => Promise<ObjectFile>) | undefined;

  /** @throws STORAGE_OBJECT_MISSING */
  stat(key: ObjectKey, options?: CallOptions): Promise<ObjectInfo>;

  /**
   * Each object whose key begins with `prefix` once, in ascending byte order of key; none is an empty listing. `after`: only
   * those behind this key.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /**
   * Idempotent: a missing key is success. Durable when it resolves.
   * @throws STORAGE_LOCKED (nobody may remove it yet; `details.until` says until when, where that is known), STORAGE_DENIED
   */
  remove(key: ObjectKey, options?: CallOptions): Promise<void>;

  close(): Promise<void>;
}
