import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, rmSync, writevSync } from 'node:fs';
import { dirname } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../src/errors.ts';
import { workerTask } from '../src/platform/worker-pool.ts';
import type { Sha256Hex } from './driver.ts';
import { CHUNK_BYTES, sealChunk, type PayloadKey } from '../src/platform/sealed-chunks.ts';

/** On a worker: makes the encrypted twin of a staged file. */
export const encryptFileTask = workerTask<EncryptFileInput, EncryptedFile>('encryptFile');

export interface EncryptFileInput {
  readonly source: string;
  /** Bytes that the source has. */
  readonly bytes: number;
  /** Unique name of a file to be made. */
  readonly target: string;
  /** What stands before the first chunk. */
  readonly head: Uint8Array;
  readonly key: Uint8Array;
  /** Whether it will be linked, and so is fsynced now, or sent, and so is hashed now. */
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
 * Whole when this returns; on an error it is gone.
 * @throws STORAGE_SIZE when the source has another size, LOCAL_IO, STORAGE_FULL
 */
export function encryptFile(input: EncryptFileInput): EncryptedFile {
  try {
    return encrypt(input);
  } catch (error) {
    rmSync(input.target, { force: true });
    throw localIoError(error, `unable to encrypt ${input.source} into ${input.target}`);
  }
}

function encrypt({ source, bytes, target, head, key, use }: EncryptFileInput): EncryptedFile {
  const from = openSync(source, 'r');
  try {
    const to = create(target);
    try {
      const writer = new HashingWriter(to, use);
      writer.write([head]);
      sealAll(from, bytes, key as PayloadKey, (pieces) => {
        writer.write(pieces);
      });
      if (use === 'to link') fsyncSync(to);
      return writer.written();
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function sealAll(from: number, bytes: number, key: PayloadKey, write: (pieces: readonly Buffer[]) => void): void {
  stepBuffer ??= Buffer.allocUnsafeSlow(CHUNKS_PER_STEP * CHUNK_BYTES);
  const chunks = Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
  let done = 0;
  for (let number = 0; number < chunks;) {
    const filled = fill(from, stepBuffer.subarray(0, Math.min(stepBuffer.length, bytes - done)), done);
    done += filled;
    if (filled < stepBuffer.length && done < bytes) break;
    const pieces: Buffer[] = [];
    for (let at = 0; at < filled || (filled === 0 && at === 0); at += CHUNK_BYTES, number += 1) {
      const plain = stepBuffer.subarray(at, Math.min(at + CHUNK_BYTES, filled));
      pieces.push(...sealChunk(key, plain, { number, isLast: number === chunks - 1 }));
    }
    write(pieces);
  }
  if (done !== bytes || fill(from, Buffer.alloc(1), done) !== 0) {
    throw new WaldenError(
      'STORAGE_SIZE',
      `the staged file has ${done === bytes ? 'more' : done} bytes instead of ${bytes}`,
    );
  }
}

function fill(from: number, into: Buffer, position: number): number {
  let filled = 0;
  while (filled < into.length) {
    const count = readSync(from, into, filled, into.length - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
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

class HashingWriter {
  readonly #descriptor: number;
  readonly #hash: Hash | undefined;
  #bytes = 0;

  constructor(descriptor: number, use: FileUse) {
    this.#descriptor = descriptor;
    this.#hash = use === 'to send' ? createHash('sha256') : undefined;
  }

  write(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#hash?.update(piece);
    let rest = [...pieces];
    while (rest.length > 0) {
      const count = writevSync(this.#descriptor, rest);
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
