import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { localIoError, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';

/**
 * The hash of a staged pack, made while the pack is written: to read it all again would be a twentieth of a backup's work.
 * The tasks of a pack may run on several threads, but mostly a thread gets the next task of the pack that it wrote last: so
 * each thread keeps the hash of that one. Where a pack came to another thread, its hash is made at the end, from the file.
 */

const READ_BYTES = 1024 * 1024;
/** This much that another thread wrote is read to go on with its pack. */
const CATCH_UP_BYTES = 16 * 1024 * 1024;

let kept: { readonly pack: string; readonly bytes: number; readonly hash: Hash } | undefined;

export class PackHash {
  readonly #pack: string;
  readonly #hash: Hash | undefined;

  /** Of a pack of which `offset` bytes are written. @throws LOCAL_IO */
  constructor(pack: string, offset: number) {
    const known = kept?.pack === pack && kept.bytes <= offset ? kept : { bytes: 0, hash: createHash('sha256') };
    // A task that fails leaves no hash of half of what it wrote.
    kept = undefined;
    this.#pack = pack;
    if (offset - known.bytes > CATCH_UP_BYTES) return;
    hashPart(known.hash, pack, known.bytes, offset);
    this.#hash = known.hash;
  }

  /** What is appended next. */
  update(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
  }

  /** Keeps the hash for the thread's next task, and tells what it will be when `end` is appended; undefined if unknown. */
  keep(bytes: number, end: Uint8Array): Sha256Hex | undefined {
    if (this.#hash === undefined) return undefined;
    kept = { pack: this.#pack, bytes, hash: this.#hash };
    return this.#hash.copy().update(end).digest('hex') as Sha256Hex;
  }
}

/** @throws LOCAL_IO */
export function hashPack(pack: string, bytes: number): Sha256Hex {
  const hash = createHash('sha256');
  hashPart(hash, pack, 0, bytes);
  return hash.digest('hex') as Sha256Hex;
}

function hashPart(hash: Hash, path: string, from: number, to: number): void {
  if (from === to) return;
  const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, to - from));
  try {
    const descriptor = openSync(path, 'r');
    try {
      for (let done = from; done < to;) {
        const count = readSync(descriptor, chunk, 0, Math.min(chunk.length, to - done), done);
        if (count === 0) throw new WaldenError('LOCAL_IO', `the staged pack ${path} is shorter than was written`);
        hash.update(chunk.subarray(0, count));
        done += count;
      }
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw localIoError(error, `unable to read the staged pack ${path}`);
  }
}
