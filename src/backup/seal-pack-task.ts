import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { localIoError, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { compressBytes } from '../repository/codec.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import { tarEnd } from '../repository/tar-header.ts';
import { FrameSink } from './frame-sink.ts';
import type { SealPackInput } from './pack-input.ts';

const READ_BYTES = 1024 * 1024;

/** Ends a staged pack with the end of the archive in a frame of its own, and hashes it. The caller syncs it to disk. */
export function sealPack({ pack, offset }: SealPackInput): StoredObject {
  const sink = new FrameSink(pack, offset);
  try {
    sink.write(compressBytes(tarEnd(), 1));
    sink.flush();
  } finally {
    sink.close();
  }
  return hashFile(pack, sink.offset);
}

// The tasks that wrote the pack ran on different threads, so none of them could hash all of it on the way.
function hashFile(path: string, bytes: number): StoredObject {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(READ_BYTES);
  const descriptor = openSync(path, 'r');
  try {
    let done = 0;
    while (done < bytes) {
      const count = readSync(descriptor, chunk, 0, Math.min(READ_BYTES, bytes - done), done);
      if (count === 0) throw new WaldenError('LOCAL_IO', `the staged pack ${path} is shorter than was written`);
      hash.update(chunk.subarray(0, count));
      done += count;
    }
    return { bytes, sha256: hash.digest('hex') as Sha256Hex };
  } catch (error) {
    throw localIoError(error, `unable to read the staged pack ${path}`);
  } finally {
    closeSync(descriptor);
  }
}
