import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
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
import { objectKey } from '../object-key.ts';
import type { StoreAccess } from '../registry.ts';
import { UploadMemory } from '../upload/upload-memory.ts';
import { openRepository, type Repository } from './open-repository.ts';
import { create, replace } from './publish.ts';
import { readAhead } from './read-ahead.ts';
import type { Handle, RemoteFiles } from './remote-files.ts';
import { isAbsent, sftpError } from './sftp-errors.ts';
import { listObjects, STAGING_DIRECTORY } from './sftp-list.ts';
import { PATIENCE, type SftpOptions, type SftpPatience } from './sftp-options.ts';
import { SftpSession } from './sftp-session.ts';
import { withReason } from './why-refused.ts';
import { writeBody } from './write-file.ts';

/** Of bytes on their way to the server: some sixteen uploads at a time. */
const UPLOAD_BYTES = 32 * 1024 * 1024;

/**
 * Objects as files below a directory of an SFTP server. An object appears under its name by a link, which fails when the name
 * is taken, or by a rename that replaces; before that it is whole and durable under a staged name on the same server. A root
 * that is gone is never mistaken for an empty repository.
 */
export class SftpDriver implements StorageDriver {
  readonly type = 'sftp';
  readonly features: StorageFeatures;
  readonly #session: SftpSession;
  readonly #repository: Repository;
  readonly #options: SftpOptions;
  readonly #memory = new UploadMemory(UPLOAD_BYTES);

  /**
   * For writing, the root is made where it is missing and what a crash left staged long ago is swept; for reading, nothing is
   * touched. @throws STORAGE_UNAVAILABLE, STORAGE_DENIED
   */
  static async open(
    options: SftpOptions,
    { access, patience = PATIENCE }: { readonly access: StoreAccess; readonly patience?: SftpPatience },
  ): Promise<SftpDriver> {
    const session = new SftpSession(options, patience);
    const root = posix.resolve('/', options.path);
    try {
      const repository = await session.use(undefined, (files) => openRepository(files, root, access));
      return new SftpDriver(session, repository, options);
    } catch (error) {
      await session.close();
      throw sftpError(error, `open the repository directory ${root} on ${options.host}`, options);
    }
  }

  private constructor(session: SftpSession, repository: Repository, options: SftpOptions) {
    this.#session = session;
    this.#repository = repository;
    this.#options = options;
    this.features = {
      createOnlyBytes: repository.abilities.links ? Infinity : 0,
      maxConcurrency: 8,
      uploadMemoryBytes: UPLOAD_BYTES,
      stagingDirectory: undefined,
    };
  }

  async put(key: ObjectKey, body: ObjectBody, { ifExists, signal }: PutOptions): Promise<void> {
    const target = this.#path(key);
    const { directories, presence, staging, abilities, root } = this.#repository;
    await this.#call(`store ${key}`, signal, async (files) => {
      try {
        await presence.assert(files);
        await staging.withName(files, (staged) =>
          // Asked before the staged file is removed, which makes room.
          withReason(files, root, async () => {
            await directories.make(files, posix.dirname(target));
            await writeBody(files, staged, body, this.#memory);
            const publish = ifExists === 'fail' ? create : replace;
            await publish(files, { staged, target }, abilities);
          }),
        );
        await directories.sync(files, posix.dirname(target));
      } catch (error) {
        if (isAbsent(error)) {
          // Somebody removed a directory below the root: the next attempt makes it again.
          directories.forget();
          await staging.make(files);
        }
        // The name may be there, and not be durable: whoever sees it makes sure.
        directories.forget(posix.dirname(target));
        if (isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) {
          // Whoever took the name may have died before it was durable, and the caller may go on to rely on it.
          await directories.sync(files, posix.dirname(target));
          throw new WaldenError('STORAGE_OBJECT_EXISTS', `${key} exists already`, { cause: error });
        }
        throw error;
      }
    });
  }

  async get(key: ObjectKey, { offset = 0, length: wanted, signal }: GetOptions = {}): Promise<Readable> {
    const path = this.#path(key);
    const attempted = `read ${key}`;
    const files = await this.#begin(attempted, signal);
    let handle: Handle | undefined;
    try {
      handle = await this.#found(files, key, () => files.open(path, 'read'));
      const size = await this.#sizeOf(files, key, handle);
      const length = wanted ?? Math.max(0, size - offset);
      if (offset + length > size) {
        throw new WaldenError('STORAGE_SIZE', `${key} has ${size} bytes, wanted were ${length} from ${offset}`);
      }
      const source = readAhead(files, handle, { offset, length });
      return exactly(source, length, key, (error) => this.#failure(error, attempted, signal), signal);
    } catch (error) {
      if (handle !== undefined) files.close(handle).catch(() => undefined);
      files.end();
      throw this.#failure(error, attempted, signal);
    }
  }

  async stat(key: ObjectKey, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const path = this.#path(key);
    return await this.#call(`look at ${key}`, signal, async (files) => {
      const found = await this.#found(files, key, () => files.stat(path));
      if (!found.isFile()) throw new WaldenError('STORAGE_UNAVAILABLE', `${key} is no file`);
      return { key, size: found.size };
    });
  }

  async *list(prefix: string, { signal, after = '' as ObjectKey }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const { directories, presence, root } = this.#repository;
    const attempted = `list ${prefix}`;
    const files = await this.#begin(attempted, signal);
    try {
      await presence.assert(files);
      for await (const info of listObjects(files, root, { prefix, after })) {
        await directories.settle(files, posix.dirname(this.#path(info.key)));
        yield info;
      }
      // A directory that was not there ended its part of the listing: true only if the store is still there.
      await presence.assert(files);
    } catch (error) {
      throw this.#failure(error, attempted, signal);
    } finally {
      files.end();
    }
  }

  async remove(key: ObjectKey, { signal }: CallOptions = {}): Promise<void> {
    const target = this.#path(key);
    const { directories, presence, root } = this.#repository;
    await this.#call(`remove ${key}`, signal, async (files) => {
      await presence.assert(files);
      await withReason(files, root, () => files.remove(target));
      // Also where nothing was left to remove: whoever removed it may have died before that was durable.
      await directories.sync(files, posix.dirname(target));
    });
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  /** A link is no object: what it points at may be anywhere. */
  async #sizeOf(files: RemoteFiles, key: ObjectKey, handle: Handle): Promise<number> {
    const [open, named] = await Promise.all([files.statOpen(handle), files.stat(this.#path(key))]);
    if (!open.isFile() || named.isSymbolicLink()) throw new WaldenError('STORAGE_UNAVAILABLE', `${key} is no file`);
    return open.size;
  }

  /** What is shown is durable; and absence is proved only while the root is there. @throws STORAGE_OBJECT_MISSING */
  async #found<Result>(files: RemoteFiles, key: ObjectKey, look: () => Promise<Result>): Promise<Result> {
    const { directories, presence } = this.#repository;
    try {
      await directories.settle(files, posix.dirname(this.#path(key)));
      return await look();
    } catch (error) {
      if (!isAbsent(error)) throw error;
      await presence.assert(files);
      throw new WaldenError('STORAGE_OBJECT_MISSING', `there is no ${key}`, { cause: error });
    }
  }

  async #begin(attempted: string, signal: AbortSignal | undefined): Promise<RemoteFiles> {
    try {
      return await this.#session.begin(signal);
    } catch (error) {
      throw this.#failure(error, attempted, signal);
    }
  }

  async #call<Result>(
    attempted: string,
    signal: AbortSignal | undefined,
    work: (files: RemoteFiles) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await this.#session.use(signal, work);
    } catch (error) {
      throw this.#failure(error, attempted, signal);
    }
  }

  #failure(error: unknown, attempted: string, signal: AbortSignal | undefined): WaldenError {
    if (signal?.aborted === true) {
      return new WaldenError('INTERRUPTED', `gave up to ${attempted}`, { cause: signal.reason });
    }
    return sftpError(error, `${attempted} in ${this.#repository.root} on ${this.#options.host}`, this.#options);
  }

  #path(key: ObjectKey): string {
    const path = objectKey(key);
    if (path.startsWith(`${STAGING_DIRECTORY}/`)) {
      throw new WaldenError('FORMAT_INVALID', `${key} is no key of an object: it belongs to staged files`);
    }
    return posix.join(this.#repository.root, path);
  }
}
