import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { localIoError, WaldenError } from '../../errors.ts';
import { type ByteSource, closeSource, readBytes } from '../../platform/byte-source.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { FrameReader } from '../frame-reader.ts';

/** On a worker: copies blocks out of stored frames into files that stand there already. */
export const copyBlocksTask = workerTask<CopyBlocksInput, CopyBlocksOutput>('copyBlocks');

export interface CopyBlocksInput {
  readonly bytes: ByteSource;
  readonly files: readonly SourceFile[];
  /** The pack, for errors. */
  readonly object: string;
}

/** Frames of one stored file, and the one file that they go to. */
export interface SourceFile {
  /** As in the manifest, for errors. */
  readonly path: string;
  /** Absolute. */
  readonly target: string;
  readonly frames: readonly SourceFrame[];
  /** Set where these are all its frames: then its hash can be checked, besides the checksum of each frame. */
  readonly whole: { readonly sha256: Sha256Hex; readonly skip: number; readonly size: number } | undefined;
}

export interface SourceFrame {
  /** Stored bytes to pass over before it. */
  readonly before: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  /** Three numbers for each copy: where in the plain bytes of the frame, where in the target, how many bytes. */
  readonly copies: Float64Array;
}

export interface CopyBlocksOutput {
  readonly bytes: number;
}

/** Files kept open to be synced together: the first sync writes most of what the others wait for. */
const OPEN_FILES = 128;
const HINT = { hint: 'make room there and check its permissions, or restore to another directory' };

/**
 * Everything is durable when this resolves; done again, it does the same.
 * @throws CHECKSUM_MISMATCH naming the file and the object, FORMAT_INVALID, LOCAL_IO, STORAGE_FULL (the target), and what
 * the sender's source throws
 */
export async function copyBlocks(input: CopyBlocksInput): Promise<CopyBlocksOutput> {
  const reader = new FrameReader(readBytes(input.bytes), input.object);
  const open: { readonly target: string; readonly descriptor: number }[] = [];
  const settle = (): void => {
    // Now, while the file is open that it was written by: the kernel tells an error of the disk to nobody else for sure.
    for (const { target, descriptor } of open) {
      onDisk(target, () => {
        fdatasyncSync(descriptor);
      });
    }
    for (const { descriptor } of open.splice(0)) closeSync(descriptor);
  };
  let bytes = 0;
  try {
    for (const file of input.files) {
      const descriptor = onDisk(file.target, () => openSync(file.target, constants.O_WRONLY | constants.O_NOFOLLOW));
      open.push({ target: file.target, descriptor });
      bytes += await copyFile(file, descriptor, reader, input.object);
      if (open.length >= OPEN_FILES) settle();
    }
    settle();
  } finally {
    for (const { descriptor } of open) closeSync(descriptor);
    await reader.close();
    // Left before the first byte was asked for, the channel would keep its sender waiting.
    closeSource(input.bytes);
  }
  return { bytes };
}

async function copyFile(file: SourceFile, descriptor: number, reader: FrameReader, object: string): Promise<number> {
  const what = `${file.path} in ${object}`;
  const hash = file.whole && new WholeHash(file.whole);
  let bytes = 0;
  for (const { before, storedBytes, plainBytes, copies } of file.frames) {
    await reader.pass(before);
    const plain = await reader.frame(storedBytes, plainBytes, what);
    hash?.update(plain);
    for (let at = 0; at + 2 < copies.length; at += 3) {
      const [from = 0, to = 0, length = 0] = copies.subarray(at, at + 3);
      onDisk(file.target, () => {
        writeFully(descriptor, plain.subarray(from, from + length), to);
      });
      bytes += length;
    }
  }
  hash?.assertSound(file.path, what);
  return bytes;
}

function writeFully(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength;) {
    done += writeSync(descriptor, bytes, done, bytes.byteLength - done, position + done);
  }
}

/** Of the file, out of frames that begin with its tar header and end with zeros. */
class WholeHash {
  readonly #hash: Hash = createHash('sha256');
  readonly #expected: Sha256Hex;
  #skip: number;
  #left: number;

  constructor({ sha256, skip, size }: NonNullable<SourceFile['whole']>) {
    this.#expected = sha256;
    this.#skip = skip;
    this.#left = size;
  }

  update(plain: Uint8Array): void {
    const data = plain.subarray(Math.min(this.#skip, plain.byteLength)).subarray(0, this.#left);
    this.#skip -= Math.min(this.#skip, plain.byteLength);
    this.#left -= data.byteLength;
    this.#hash.update(data);
  }

  assertSound(path: string, what: string): void {
    const found = this.#hash.digest('hex');
    if (this.#left === 0 && found === this.#expected) return;
    throw new WaldenError('CHECKSUM_MISMATCH', `${what} is not what was backed up: its hash differs`, {
      details: { path, expected: this.#expected, found },
    });
  }
}

function onDisk<Result>(target: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, `unable to write ${target}`, HINT);
  }
}
