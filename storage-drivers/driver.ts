import type { Readable } from 'node:stream';

/**
 * The contract of every store. Six byte-level duties; a driver never learns what a segment is.
 *
 * What `get`, `stat` and `list` show is durable, unless the store was opened for reading only: callers record it, and
 * acknowledge what they find, as if they had put it.
 *
 * Drivers turn their store's errors into WaldenErrors with the codes named here. They never retry and never log: the
 * wrappers in this folder do.
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
  /** `put` with ifExists 'fail' is one atomic step in the store, not stat-then-write. */
  readonly createOnly: boolean;
  /** Requests worth keeping in flight. */
  readonly maxConcurrency: number;
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
   * A file that holds exactly these bytes, already fsynced, and that nobody will write again. A driver on the same file
   * system may link it instead of copying; the caller unlinks its own name afterwards.
   */
  readonly path: string | undefined;
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
  /** When one read takes so long, in milliseconds, the store is out of reach; undefined: it takes what it takes. */
  readonly readDeadline?: { readonly ms: number; readonly late: () => Error };
  close(): Promise<void>;
}

export interface StorageDriver {
  readonly type: string;
  readonly features: StorageFeatures;

  /**
   * Resolves only when the object is durable and whole; before that no reader sees any of it. With an already aborted
   * signal nothing is changed.
   * @throws STORAGE_OBJECT_EXISTS ('fail' and the key is taken; the old bytes are untouched), STORAGE_SIZE (the body gave
   * other bytes than `size` and `sha256` say), STORAGE_FULL, STORAGE_DENIED, STORAGE_UNAVAILABLE (the object may exist all
   * the same: a later STORAGE_OBJECT_EXISTS is settled by reading back and comparing), INTERRUPTED (the signal).
   */
  put(
    key: ObjectKey,
    body: ObjectBody,
    options: { readonly ifExists: 'fail' | 'replace'; readonly signal?: AbortSignal | undefined },
  ): Promise<void>;

  /**
   * Bytes [offset, offset + length); by default all of them. The stream fails with STORAGE_SIZE rather than end early.
   * @throws STORAGE_OBJECT_MISSING, and the codes of a store out of reach. MISSING is a proof: the store answered.
   */
  get(
    key: ObjectKey,
    options?: { readonly offset?: number; readonly length?: number; readonly signal?: AbortSignal | undefined },
  ): Promise<Readable>;

  /**
   * The same bytes, for a worker thread to read itself; only of stores whose objects are files of this host, whole and
   * never written again. The caller closes it, when nobody reads it any more.
   * @throws as `get`, and STORAGE_SIZE when the object is shorter
   */
  readonly openFile?: (
    key: ObjectKey,
    options?: { readonly offset?: number; readonly length?: number; readonly signal?: AbortSignal | undefined },
  ) => Promise<ObjectFile>;

  /** @throws STORAGE_OBJECT_MISSING */
  stat(key: ObjectKey, options?: { readonly signal?: AbortSignal | undefined }): Promise<ObjectInfo>;

  /** Each object whose key begins with `prefix` once, in ascending byte order of key; none is an empty listing. */
  list(prefix: string, options?: { readonly signal?: AbortSignal | undefined }): AsyncIterable<ObjectInfo>;

  /** Idempotent: a missing key is success. Durable when it resolves. */
  remove(key: ObjectKey, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  close(): Promise<void>;
}
