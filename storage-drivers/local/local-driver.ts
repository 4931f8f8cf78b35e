import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import { makeDirectories, syncAncestors, syncDirectory } from '../../src/platform/files.ts';
import type { StoreAccess } from '../registry.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectFile,
  ObjectInfo,
  ObjectKey,
  PutOptions,
  StorageDriver,
  StorageFeatures,
} from '../driver.ts';
import { objectKey } from '../object-key.ts';
import { exactly } from '../exact-stream.ts';
import { copyBody } from './copy-body.ts';
import { localError } from './local-errors.ts';
import { listObjects, STAGING_DIRECTORY } from './local-list.ts';
import { markerIdentity, markerPath, prepareStaging } from './staging.ts';

const DIRECTORY_MODE = 0o750;
/** Not through a symlink, and without waiting for the writer of a pipe. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** A body's file that cannot be linked is copied: another file system, too many links, a file system without links. */
const COPY_INSTEAD = new Set(['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP']);

/**
 * Objects as files below a directory. An object appears under its name by link(2), which fails when the name is taken, or
 * by rename(2), which replaces; before that it is whole and fsynced under a staged name in the same file system, and the
 * directories are fsynced after it. A root that is gone (an unmounted share) is never mistaken for an empty repository.
 */
export class LocalDriver implements StorageDriver {
  readonly type = 'local';
  readonly features: StorageFeatures;
  readonly #root: string;
  readonly #staging: string;
  /** Of the marker that was there at the beginning, if there was one. */
  readonly #identity: string | undefined;
  /** A reader touches nothing, so it can promise nothing either. */
  readonly #access: StoreAccess;
  /** Directories of which every name that stood in them when this driver first met them is durable, up to the root. */
  readonly #durable = new Set<string>();

  /**
   * `instance` tells the staged files of this service from another's; [A-Za-z0-9-]. For writing, the root is made where it
   * is missing and what a crash left staged is swept; for reading, nothing is touched.
   * @throws STORAGE_UNAVAILABLE when there is no root, STORAGE_DENIED
   */
  static async open(options: {
    readonly root: string;
    readonly instance: string;
    readonly access: StoreAccess;
  }): Promise<LocalDriver> {
    const { root, instance, access } = options;
    try {
      if (access === 'read-write') {
        await makeDirectories(root, DIRECTORY_MODE);
        // The directory may be there because an earlier start made it, and died before its name was durable.
        await syncAncestors(resolve(root));
      }
      if (!(await stat(root)).isDirectory()) throw new WaldenError('STORAGE_UNAVAILABLE', `${root} is no directory`);
    } catch (error) {
      throw localError(error, `open the repository directory ${root}`);
    }
    try {
      if (access === 'read-write') await prepareStaging(root, instance);
      return new LocalDriver(options, await markerIdentity(markerPath(root)));
    } catch (error) {
      throw localError(error, `open the repository directory ${root}`);
    }
  }

  private constructor(
    { root, instance, access }: Parameters<typeof LocalDriver.open>[0],
    identity: string | undefined,
  ) {
    this.#root = resolve(root);
    this.#access = access;
    this.#identity = identity;
    this.#staging = join(this.#root, STAGING_DIRECTORY, instance);
    this.features = {
      createOnlyBytes: Infinity,
      maxConcurrency: 8,
      uploadMemoryBytes: 0,
      stagingDirectory: this.#staging,
    };
  }

  async put(key: ObjectKey, body: ObjectBody, { ifExists, signal }: PutOptions): Promise<void> {
    assertNotAborted(signal, `store ${key}`);
    const target = this.#path(key);
    try {
      await this.#assertRoot();
      await this.#ensureDirectory(dirname(target));
      if (ifExists === 'fail') await this.#create(target, body);
      else await this.#replace(target, body);
      await syncDirectory(dirname(target));
    } catch (error) {
      // Somebody removed a directory below the root: the next attempt makes it again.
      if (isAbsent(error)) this.#durable.clear();
      // The name may be there, and not be durable: whoever sees it makes sure.
      this.#durable.delete(dirname(target));
      if (systemErrorCode(error) === 'EEXIST') {
        // Whoever took the name may have died before it was durable, and the caller may go on to rely on it.
        await this.#synced(target, `store ${key}`);
        throw new WaldenError('STORAGE_OBJECT_EXISTS', `${key} exists already`, { cause: error });
      }
      throw this.#failure(error, `store ${key}`);
    }
  }

  async get(key: ObjectKey, options: GetOptions = {}): Promise<Readable> {
    const { handle, offset, length } = await this.#open(key, options);
    if (length === 0) {
      await handle.close();
      return exactly([], 0, key);
    }
    const stream = handle.createReadStream({ start: offset, end: offset + length - 1, highWaterMark: 1024 * 1024 });
    return exactly(stream, length, key, (error) => this.#failure(error, `read ${key}`), options.signal);
  }

  async openFile(key: ObjectKey, options: GetOptions = {}): Promise<ObjectFile> {
    const { handle, offset, length } = await this.#open(key, options);
    return { descriptor: handle.fd, offset, length, close: () => handle.close() };
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    assertNotAborted(signal, `look at ${key}`);
    const found = await this.#found(key, (path) => lstat(path));
    if (!found.isFile()) throw new WaldenError('STORAGE_UNAVAILABLE', `${key} is no file`);
    return { key, size: found.size };
  }

  async *list(prefix: string, { signal, after = '' as ObjectKey }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    assertNotAborted(signal, `list ${prefix}`);
    try {
      await this.#assertRoot();
      for await (const info of listObjects(this.#root, prefix)) {
        assertNotAborted(signal, `list ${prefix}`);
        if (info.key <= after) continue;
        await this.#settle(dirname(this.#path(info.key)));
        yield info;
      }
      // A directory that was not there ended its part of the listing: true only if the store is still there.
      await this.#assertRoot();
    } catch (error) {
      throw this.#failure(error, `list ${prefix}`);
    }
  }

  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    assertNotAborted(signal, `remove ${key}`);
    const target = this.#path(key);
    try {
      await this.#assertRoot();
      await unlink(target);
    } catch (error) {
      if (!isAbsent(error)) throw this.#failure(error, `remove ${key}`);
      await this.#assertRoot();
    }
    // Also where nothing was left to remove: whoever removed it may have died before that was durable.
    await this.#synced(target, `remove ${key}`);
  }

  async close(): Promise<void> {
    // Nothing is held open between calls.
  }

  /** Another put may have made the directory a moment ago without having synced it yet. */
  async #ensureDirectory(directory: string): Promise<void> {
    if (this.#durable.has(directory)) return;
    await makeDirectories(directory, DIRECTORY_MODE);
    await this.#settle(directory);
  }

  /**
   * Whoever left what stands in a directory may have died before it was durable, and others go on to rely on what they are
   * shown: so each directory is synced once here, with those above it.
   */
  async #settle(directory: string): Promise<void> {
    if (this.#access === 'read-only' || this.#durable.has(directory)) return;
    for (let path = directory; path !== this.#root; path = dirname(path)) await syncDirectory(path);
    await syncDirectory(this.#root);
    this.#durable.add(directory);
  }

  /** The directory of a path is synced, if there is one. */
  async #synced(path: string, attempted: string): Promise<void> {
    try {
      await syncDirectory(dirname(path));
    } catch (error) {
      if (!isAbsent(error)) throw this.#failure(error, attempted);
    }
  }

  /** The name is taken at once, by a file that is whole and durable. */
  async #create(target: string, body: ObjectBody): Promise<void> {
    if (body.path !== undefined && (await linkBody(body, body.path, target))) return;
    await this.#staged(body, (staged) => link(staged, target));
  }

  async #replace(target: string, body: ObjectBody): Promise<void> {
    await this.#staged(body, async (staged) => {
      await rename(staged, target);
    });
  }

  /** Gives the body a staged name, by link or copy, lets it be published, and leaves nothing staged. */
  async #staged(body: ObjectBody, publish: (staged: string) => Promise<void>): Promise<void> {
    await mkdir(this.#staging, { recursive: true, mode: DIRECTORY_MODE });
    const staged = join(this.#staging, randomUUID());
    try {
      if (body.path === undefined || !(await linkBody(body, body.path, staged))) await copyBody(body, staged);
      await publish(staged);
    } finally {
      await unlink(staged).catch((error: unknown) => {
        // Renamed into place, or never made. A rename onto another name of the same file leaves both.
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      });
    }
  }

  async #open(
    key: ObjectKey,
    { offset = 0, length: wanted, signal }: GetOptions,
  ): Promise<{ readonly handle: FileHandle; readonly offset: number; readonly length: number }> {
    assertNotAborted(signal, `read ${key}`);
    const handle = await this.#found(key, (path) => open(path, READ_FLAGS));
    try {
      const found = await handle.stat();
      if (!found.isFile()) throw new WaldenError('STORAGE_UNAVAILABLE', `${key} is no file`);
      const length = wanted ?? Math.max(0, found.size - offset);
      if (offset + length > found.size) {
        throw new WaldenError('STORAGE_SIZE', `${key} has ${found.size} bytes, wanted were ${length} from ${offset}`);
      }
      return { handle, offset, length };
    } catch (error) {
      await handle.close();
      throw this.#failure(error, `read ${key}`);
    }
  }

  /** ENOENT proves absence only while the root is there. @throws STORAGE_OBJECT_MISSING */
  async #found<Result>(key: ObjectKey, look: (path: string) => Promise<Result>): Promise<Result> {
    try {
      const path = this.#path(key);
      // Before it is opened: what fails here must leave nothing open.
      await this.#settle(dirname(path));
      return await look(path);
    } catch (error) {
      if (!isAbsent(error)) throw this.#failure(error, `read ${key}`);
      await this.#assertRoot();
      throw new WaldenError('STORAGE_OBJECT_MISSING', `there is no ${key}`, { cause: error });
    }
  }

  async #assertRoot(): Promise<void> {
    let cause: unknown;
    try {
      if (this.#identity === undefined) {
        await stat(this.#root);
        return;
      }
      if ((await markerIdentity(markerPath(this.#root))) === this.#identity) return;
    } catch (error) {
      cause = error;
    }
    const reason = systemErrorCode(cause) ?? 'something else is in its place';
    throw new WaldenError('STORAGE_UNAVAILABLE', `the repository directory ${this.#root} is not there (${reason})`, {
      hint: 'mount it, or correct path in the configuration',
      cause,
    });
  }

  /** Which of several stores it was is half of the answer. */
  #failure(error: unknown, attempted: string): WaldenError {
    return localError(error, `${attempted} in ${this.#root}`);
  }

  #path(key: ObjectKey): string {
    const path = objectKey(key);
    if (path.startsWith(`${STAGING_DIRECTORY}/`)) {
      throw new WaldenError('FORMAT_INVALID', `${key} is no key of an object: it belongs to staged files`);
    }
    return join(this.#root, path);
  }
}

/** True when the target is now a name of the body's own file; false when it must be copied. */
async function linkBody(body: ObjectBody, path: string, target: string): Promise<boolean> {
  const found = await lstat(path);
  if (!found.isFile() || found.size !== body.size) {
    throw new WaldenError('STORAGE_SIZE', `the staged file has ${found.size} bytes instead of ${body.size}`);
  }
  try {
    await link(path, target);
    return true;
  } catch (error) {
    if (COPY_INSTEAD.has(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function assertNotAborted(signal: AbortSignal | undefined, attempted: string): void {
  if (signal?.aborted === true) {
    throw new WaldenError('INTERRUPTED', `gave up to ${attempted}`, { cause: signal.reason });
  }
}
