import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, writevSync } from 'node:fs';
import { dirname } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../src/errors.ts';
import { copyBytes } from '../src/platform/copy-bytes.ts';
import { fillBuffer } from '../src/platform/fill-buffer.ts';
import { workerTask } from '../src/platform/worker-pool.ts';
import type { Sha256Hex } from './driver.ts';
import { CHUNK_BYTES, sealChunk, type PayloadKey } from '../src/platform/sealed-chunks.ts';

/** On a worker: makes the encrypted twin of a staged file, or of what is in memory. */
export const encryptFileTask = workerTask<EncryptFileInput, EncryptedFile>('encryptFile');

export interface EncryptFileInput {
  readonly source: string | Uint8Array;
  /** Bytes that the source has. */
  readonly bytes: number;
  /** Unique name of a file to be made, or memory that is large enough. */
  readonly target: string | SharedArrayBuffer;
  /** What stands before the first chunk. */
  readonly head: Uint8Array;
  readonly key: Uint8Array;
  /** Whether the file will be linked, and so is fsynced now, or sent, and so is hashed now. */
  readonly use: FileUse;
}

export type FileUse = 'to link' | 'to send';

export interface EncryptedFile {
  readonly bytes: number;
  readonly sha256: Sha256Hex | undefined;
}

const CHUNKS_PER_STEP = 16;
let stepBuffer: Buffer | undefined;

/**
 * Whole when this returns; on an error the file is gone.
 * @throws STORAGE_SIZE when the source has another size, LOCAL_IO, STORAGE_FULL
 */
export function encryptFile(input: EncryptFileInput): EncryptedFile {
  const { source, target } = input;
  try {
    return typeof source === 'string' ? encryptStaged(input, source) : encryptFrom(input, memoryReader(source));
  } catch (error) {
    if (typeof target !== 'string') throw error;
    rmSync(target, { force: true });
    throw localIoError(error, `unable to encrypt ${typeof source === 'string' ? source : 'memory'} into ${target}`);
  }
}

function encryptStaged(input: EncryptFileInput, path: string): EncryptedFile {
  const from = openSync(path, 'r');
  try {
    return encryptFrom(input, fileReader(from));
  } finally {
    closeSync(from);
  }
}

function encryptFrom(input: EncryptFileInput, read: Reader): EncryptedFile {
  const { target, use } = input;
  if (typeof target !== 'string') return sealInto(new HashingWriter(memoryWriter(target), 'to send'), input, read);
  const to = create(target);
  try {
    const made = sealInto(new HashingWriter((pieces) => writevSync(to, pieces), use), input, read);
    if (use === 'to link') fsyncSync(to);
    return made;
  } finally {
    closeSync(to);
  }
}

function sealInto(writer: HashingWriter, { bytes, head, key }: EncryptFileInput, read: Reader): EncryptedFile {
  writer.write([head]);
  sealAll(read, bytes, key as PayloadKey, (pieces) => {
    writer.write(pieces);
  });
  return writer.written();
}

/** Bytes of the source from `position`, at most so many; fewer only at its end. A view is good until the next one is asked for. */
type Reader = (position: number, length: number) => Uint8Array;

function memoryReader(source: Uint8Array): Reader {
  return (position, length) => source.subarray(position, position + length);
}

function fileReader(descriptor: number): Reader {
  stepBuffer ??= Buffer.allocUnsafeSlow(CHUNKS_PER_STEP * CHUNK_BYTES);
  const buffer = stepBuffer;
  return (position, length) => {
    const filled = fillBuffer(descriptor, buffer.subarray(0, length), position);
    return buffer.subarray(0, filled);
  };
}

function sealAll(read: Reader, bytes: number, key: PayloadKey, write: (pieces: readonly Buffer[]) => void): void {
  const stepBytes = CHUNKS_PER_STEP * CHUNK_BYTES;
  const chunks = Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
  let done = 0;
  for (let number = 0; number < chunks;) {
    const wanted = Math.min(stepBytes, bytes - done);
    const step = read(done, wanted);
    const filled = step.byteLength;
    done += filled;
    if (filled < wanted) break;
    const pieces: Buffer[] = [];
    for (let at = 0; at < filled || (filled === 0 && at === 0); at += CHUNK_BYTES, number += 1) {
      const plain = step.subarray(at, Math.min(at + CHUNK_BYTES, filled));
      pieces.push(...sealChunk(key, plain, { number, isLast: number === chunks - 1 }));
    }
    write(pieces);
  }
  if (done !== bytes || read(done, 1).byteLength !== 0) {
    throw new WaldenError(
      'STORAGE_SIZE',
      `the staged file has ${done === bytes ? 'more' : done} bytes instead of ${bytes}`,
    );
  }
}

function create(target: string): number {
  try {
    return openSync(target, 'wx', 0o640);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    // Somebody tidied up. Only this one is made anew: where the directory above is gone too, so is the store.
    mkdirSync(dirname(target), { mode: 0o750 });
    return openSync(target, 'wx', 0o640);
  }
}

/** How many bytes of the pieces were written: fewer than all only for the moment. */
type Write = (pieces: readonly Uint8Array[]) => number;

function memoryWriter(room: SharedArrayBuffer): Write {
  const memory = Buffer.from(room);
  let position = 0;
  return (pieces) => {
    const begin = position;
    for (const piece of pieces) {
      copyBytes(piece, memory, position);
      position += piece.byteLength;
    }
    return position - begin;
  };
}

class HashingWriter {
  readonly #write: Write;
  readonly #hash: Hash | undefined;
  #bytes = 0;

  constructor(write: Write, use: FileUse) {
    this.#write = write;
    this.#hash = use === 'to send' ? createHash('sha256') : undefined;
  }

  write(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#hash?.update(piece);
    let rest = [...pieces];
    while (rest.length > 0) {
      const count = this.#write(rest);
      this.#bytes += count;
      rest = behind(rest, count);
    }
  }

  written(): EncryptedFile {
    return { bytes: this.#bytes, sha256: this.#hash?.digest('hex') as Sha256Hex | undefined };
  }
}

/** What is left of the pieces when so many bytes of them are written. */
function behind(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.byteLength);
    skip -= skipped;
    return skipped === piece.byteLength ? [] : [piece.subarray(skipped)];
  });
}
