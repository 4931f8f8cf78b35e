import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import { copyBytes } from '../platform/copy-bytes.ts';

/** A WAL file as PostgreSQL wrote it: by its path, or its bytes, which stand in shared memory and which nobody changes. */
export type WalFileSource = string | Uint8Array;

/** A source that is being read from its beginning to its end. */
export interface OpenFileSource {
  /** When it was opened. */
  readonly size: number;
  /** The next bytes; 0 at the end. @throws LOCAL_IO */
  read(into: Buffer): number;
  /** That what was read is what it was, and all of it. @throws FORMAT_INVALID */
  assertUnchanged(bytesRead: number): void;
  close(): void;
}

/** @throws ARCHIVE_FILE_MISSING, FORMAT_INVALID (no file), LOCAL_IO */
export function openFileSource(source: WalFileSource): OpenFileSource {
  return typeof source === 'string' ? new FileSource(source) : new MemorySource(source);
}

class FileSource implements OpenFileSource {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #before: Stats;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openToRead(path);
    try {
      this.#before = fstatSync(this.#descriptor);
      if (!this.#before.isFile()) throw new WaldenError('FORMAT_INVALID', `${path} is no file`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get size(): number {
    return this.#before.size;
  }

  read(into: Buffer): number {
    try {
      return readSync(this.#descriptor, into);
    } catch (error) {
      throw localIoError(error, `unable to read ${this.#path}`, { hint: 'check the disk that the file is on' });
    }
  }

  assertUnchanged(bytesRead: number): void {
    const { size, mtimeMs } = fstatSync(this.#descriptor);
    if (size === this.size && mtimeMs === this.#before.mtimeMs && bytesRead === size) return;
    throw new WaldenError('FORMAT_INVALID', `${this.#path} changed while it was read`, {
      hint: 'archive only files that PostgreSQL has finished: it calls archive_command for them',
    });
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Not through a symlink, and without waiting for the writer of a pipe. */
function openToRead(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') {
      throw new WaldenError('ARCHIVE_FILE_MISSING', `${path} does not exist`, { cause });
    }
    throw localIoError(cause, `unable to open ${path}`, {
      hint: 'the user of the service must be able to read the WAL files of PostgreSQL',
    });
  }
}

class MemorySource implements OpenFileSource {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.byteLength;
  }

  read(into: Buffer): number {
    const part = this.#bytes.subarray(this.#at, this.#at + into.length);
    copyBytes(part, into, 0);
    this.#at += part.byteLength;
    return part.byteLength;
  }

  assertUnchanged(): void {
    // Whose it is, he changes nothing.
  }

  close(): void {
    // Nothing is open.
  }
}
