import { type ByteSource, closeSource, readBytes } from '../../platform/byte-source.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import {
  headerBytes,
  type IncrementHead,
  parseIncrementBlocks,
  parseIncrementHead,
} from '../../postgres/incremental-file.ts';
import type { ManifestFrame } from '../../repository/manifest.ts';
import { WaldenError } from '../../errors.ts';
import { FrameReader } from '../frame-reader.ts';

/** On a worker: reads which blocks increments hold. */
export const readIncrementsTask = workerTask<ReadIncrementsInput, readonly Uint32Array[]>('readIncrements');

export interface ReadIncrementsInput {
  readonly bytes: ByteSource;
  readonly files: readonly IncrementToRead[];
  /** The pack, for errors. */
  readonly object: string;
}

export interface IncrementToRead {
  readonly path: string;
  readonly size: number;
  readonly skip: number;
  /** What the manifest says of it. */
  readonly increment: IncrementHead;
  /** Stored bytes to pass over before its frames. */
  readonly before: number;
  /** The first ones, with the whole header. */
  readonly frames: readonly ManifestFrame[];
}

/** @returns per file the numbers of its blocks. @throws CHECKSUM_MISMATCH, FORMAT_INVALID, and what the sender's source throws */
export async function readIncrements(input: ReadIncrementsInput): Promise<readonly Uint32Array[]> {
  const reader = new FrameReader(readBytes(input.bytes), input.object);
  const found: Uint32Array[] = [];
  try {
    for (const file of input.files) {
      await reader.pass(file.before);
      found.push(await readOne(file, reader, input.object));
    }
  } finally {
    await reader.close();
    closeSource(input.bytes);
  }
  return found;
}

async function readOne(file: IncrementToRead, reader: FrameReader, object: string): Promise<Uint32Array> {
  const what = `${file.path} in ${object}`;
  // Bounded by the manifest, which was checked as a whole.
  const header = new Uint8Array(headerBytes(file.increment.blocks));
  let skip = file.skip;
  let filled = 0;
  for (const [storedBytes, plainBytes] of file.frames) {
    const plain = await reader.frame(storedBytes, plainBytes, what);
    const data = plain.subarray(Math.min(skip, plain.byteLength)).subarray(0, header.byteLength - filled);
    skip -= Math.min(skip, plain.byteLength);
    header.set(data, filled);
    filled += data.byteLength;
  }
  const { blocks, truncation } = parseIncrementHead(header.subarray(0, filled), file.size, what);
  if (blocks !== file.increment.blocks || truncation !== file.increment.truncation) {
    throw new WaldenError('FORMAT_INVALID', `${what} begins otherwise than its manifest says`);
  }
  return parseIncrementBlocks(header.subarray(0, filled), file.size, what);
}
