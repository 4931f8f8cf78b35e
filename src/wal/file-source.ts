import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import { FRAME_BYTES } from './archive-target.ts';

/** A WAL file as PostgreSQL wrote it: by its path, or its bytes, which stand in shared memory and which nobody changes. */
export type WalFileSource = string | Uint8Array;

/** Small enough to be still in the processor's cache when it is hashed, after it was walked. */
export const CHUNK_BYTES = 256 * 1024;

/** A source that is being read from its beginning to its end. */
export interface OpenFileSource {
  /** When it was opened. */
  readonly size: number;
  /** Of a frame; the last one has fewer. */
  readonly frameBytes: number;
  /**
   * The next frame, or what there is until the end; `take` is given each chunk of it as it comes. They are good until the next
   * call. @throws LOCAL_IO
   */
  readFrame(take: (chunk: Buffer) => void): Buffer;
  /** That what was read is what it was, and all of it. @throws FORMAT_INVALID */
  assertUnchanged(bytesRead: number): void;
  close(): void;
}

/**
 * @param memory for one frame of a file: where the next one comes into too
 * @throws ARCHIVE_FILE_MISSING, FORMAT_INVALID (no file), LOCAL_IO
 */
export function openFileSource(source: WalFileSource, memory: Buffer): OpenFileSource {
  return typeof source === 'string' ? new FileSource(source, memory) : new MemorySource(source);
}

class FileSource implements OpenFileSource {
  readonly #path: string;
  readonly #memory: Buffer;
  readonly #descriptor: number;
  readonly #before: Stats;

  constructor(path: string, memory: Buffer) {
    this.#path = path;
    this.#memory = memory;
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

  get frameBytes(): number {
    return this.#memory.length;
  }

  readFrame(take: (chunk: Buffer) => void): Buffer {
    const frame = this.#memory;
    for (let filled = 0; ;) {
      const start = filled;
      const end = Math.min(start + CHUNK_BYTES, frame.length);
      // A chunk is filled up: the walk wants whole pages.
      while (filled < end) {
        const bytes = this.#read(frame.subarray(filled, end));
        if (bytes === 0) break;
        filled += bytes;
      }
      if (filled > start) take(frame.subarray(start, filled));
      if (filled < end || end === frame.length) return frame.subarray(0, filled);
    }
  }

  /** 0 at the end. */
  #read(into: Buffer): number {
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
  readonly frameBytes = FRAME_BYTES;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.#bytes.byteLength;
  }

  readFrame(take: (chunk: Buffer) => void): Buffer {
    const frame = this.#bytes.subarray(this.#at, this.#at + FRAME_BYTES);
    for (let at = 0; at < frame.length; at += CHUNK_BYTES) take(frame.subarray(at, at + CHUNK_BYTES));
    this.#at += frame.length;
    return frame;
  }

  assertUnchanged(): void {
    // Whose it is, he changes nothing.
  }

  close(): void {
    // Nothing is open.
  }
}
