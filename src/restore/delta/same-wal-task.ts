import { closeSync, constants, openSync } from 'node:fs';
import { localIoError } from '../../errors.ts';
import { type ByteSource, closeSource, readBytes } from '../../platform/byte-source.ts';
import { fillBuffer } from '../../platform/fill-buffer.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import { StreamDecompressor } from '../../repository/codec.ts';

/** On a worker: whether a file of this host begins as a stored segment does. */
export const sameWalTask = workerTask<SameWalInput, boolean>('beginsAsStored');

export interface SameWalInput {
  /** The stored object. */
  readonly bytes: ByteSource;
  /** For errors. */
  readonly object: string;
  readonly path: string;
  /** So much of it is compared. */
  readonly length: number;
}

/** @throws LOCAL_IO, CHECKSUM_MISMATCH, FORMAT_INVALID, and what the sender's source throws */
export async function beginsAsStored({ bytes, object, path, length }: SameWalInput): Promise<boolean> {
  const descriptor = onDisk(path, () => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  const decompressor = new StreamDecompressor(object);
  let compared = 0;
  try {
    for await (const chunk of readBytes(bytes)) {
      for (const piece of decompressor.feed(chunk)) {
        const wanted = Buffer.alloc(Math.max(0, Math.min(piece.byteLength, length - compared)));
        const there = onDisk(path, () => fillBuffer(descriptor, wanted, compared));
        if (there !== wanted.byteLength || !wanted.equals(piece.subarray(0, there))) return false;
        compared += there;
      }
    }
    decompressor.finish();
    return compared === length;
  } finally {
    closeSync(descriptor);
    closeSource(bytes);
  }
}

function onDisk<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, `unable to read ${path}`);
  }
}
