import { createHash } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { localIoError, systemErrorCode, toWaldenError, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { type FrameCompressor, frameBound } from '../repository/codec.ts';
import { WAL_HEADER_BYTES } from '../repository/wal-object.ts';

/**
 * A frame is made of what stands in memory in one piece: fed chunk by chunk, zstd copies it all and finds its matches on a
 * slower path. This is the usual size of a segment; larger ones take several frames.
 */
export const FRAME_BYTES = 16 * 1024 * 1024;

/** Where a WAL object is put together: its frames one after the other, and at last its header in front of them. */
export interface ArchiveTarget {
  add(compressor: FrameCompressor, frame: Uint8Array): void;
  finish(header: Uint8Array): StoredForm;
  /** Of what will not be finished. */
  discard(): void;
  close(): void;
}

interface StoredForm {
  readonly storedBytes: number;
  /** Of the object, where it is in memory. */
  readonly storedSha256: Sha256Hex | undefined;
}

/** A staged file, which is not fsynced. All errors are LOCAL_IO or STORAGE_FULL. */
export class FileTarget implements ArchiveTarget {
  readonly #name: WalFileName;
  readonly #path: string;
  readonly #memory: Uint8Array;
  readonly #descriptor: number;
  #bytes = WAL_HEADER_BYTES;

  /** @param memory for one frame, compressed */
  constructor(name: WalFileName, path: string, memory: Uint8Array) {
    this.#name = name;
    this.#path = path;
    this.#memory = memory;
    this.#descriptor = this.#told(() => create(path));
  }

  add(compressor: FrameCompressor, frame: Uint8Array): void {
    const bytes = compressor.compressInto(this.#memory, frame);
    this.#write(this.#memory.subarray(0, bytes), this.#bytes);
    this.#bytes += bytes;
  }

  finish(header: Uint8Array): StoredForm {
    this.#write(header, 0);
    return { storedBytes: this.#bytes, storedSha256: undefined };
  }

  discard(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // What went wrong before is to be told; the next start sweeps the file.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #write(bytes: Uint8Array, position: number): void {
    this.#told(() => {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
      }
    });
  }

  #told<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw systemErrorCode(error) === undefined
        ? toWaldenError(error)
        : localIoError(error, `unable to stage ${this.#name} in ${dirname(this.#path)}`);
    }
  }
}

function create(path: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  try {
    return openSync(path, flags, 0o640);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    // Somebody tidied up. Only this one is made anew: where the directory above is gone too, so is the store.
    mkdirSync(dirname(path), { mode: 0o750 });
    return openSync(path, flags, 0o640);
  }
}

/** The largest object that there is room for in memory: one frame. */
export const OBJECT_ROOM_BYTES = WAL_HEADER_BYTES + frameBound(FRAME_BYTES);

/** An object of one frame, compressed into the place that it is sent from. */
export class MemoryTarget implements ArchiveTarget {
  readonly #room: Uint8Array;
  #bytes = WAL_HEADER_BYTES;

  constructor(room: SharedArrayBuffer) {
    this.#room = new Uint8Array(room);
  }

  add(compressor: FrameCompressor, frame: Uint8Array): void {
    if (frameBound(frame.byteLength) > this.#room.byteLength - this.#bytes) {
      throw new WaldenError('FORMAT_INVALID', 'the file grew while it was read');
    }
    this.#bytes += compressor.compressInto(this.#room.subarray(this.#bytes), frame);
  }

  finish(header: Uint8Array): StoredForm {
    this.#room.set(header);
    const hash = createHash('sha256').update(this.#room.subarray(0, this.#bytes));
    return { storedBytes: this.#bytes, storedSha256: hash.digest('hex') as Sha256Hex };
  }

  discard(): void {
    // Whose the room is, he knows of the error.
  }

  close(): void {
    // Nothing is open.
  }
}
