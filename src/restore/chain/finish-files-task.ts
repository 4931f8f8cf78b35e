import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { localIoError, WaldenError } from '../../errors.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import type { TargetOwner } from '../target-file.ts';

/** On a worker: ends files whose blocks were copied together, and hashes them for PostgreSQL's manifest. */
export const finishFilesTask = workerTask<FinishFilesInput, readonly Sha256Hex[]>('finishFiles');

export interface FinishFilesInput {
  readonly files: readonly FileToFinish[];
  readonly owner: TargetOwner | undefined;
}

export interface FileToFinish {
  /** Absolute. */
  readonly target: string;
  readonly mode: number;
  readonly mtime: Micros;
  readonly bytes: number;
  /** Two numbers for each part that no backup has: where it begins, how many bytes. */
  readonly zeros: Float64Array;
}

const BUFFER_BYTES = 1024 * 1024;
const HINT = { hint: 'make room there and check its permissions, or restore to another directory' };

let buffer: Buffer | undefined;
const zeroBytes = Buffer.alloc(256 * 1024);

/** All are durable when this returns. @returns the hash of each. @throws LOCAL_IO, STORAGE_FULL */
export function finishFiles({ files, owner }: FinishFilesInput): readonly Sha256Hex[] {
  return files.map((file) => {
    try {
      return finishFile(file, owner);
    } catch (error) {
      throw localIoError(error, `unable to write ${file.target}`, HINT);
    }
  });
}

function finishFile(file: FileToFinish, owner: TargetOwner | undefined): Sha256Hex {
  const descriptor = openSync(file.target, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    // Written out, not left as holes: PostgreSQL counts on the room of a block that a file has.
    for (let at = 0; at + 1 < file.zeros.length; at += 2) {
      const [begin = 0, length = 0] = file.zeros.subarray(at, at + 2);
      writeZeros(descriptor, begin, length);
    }
    const { size } = fstatSync(descriptor);
    if (size !== file.bytes) {
      throw new WaldenError(
        'LOCAL_IO',
        `${file.target} has ${size} bytes instead of ${file.bytes}: something else writes there`,
      );
    }
    const hash = hashOf(descriptor, file);
    if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid);
    fchmodSync(descriptor, file.mode & 0o777);
    futimesSync(descriptor, file.mtime / 1e6, file.mtime / 1e6);
    fsyncSync(descriptor);
    return hash;
  } finally {
    closeSync(descriptor);
  }
}

function writeZeros(descriptor: number, begin: number, length: number): void {
  for (let done = 0; done < length;) {
    done += writeSync(descriptor, zeroBytes, 0, Math.min(zeroBytes.byteLength, length - done), begin + done);
  }
}

/** Read back: its parts came from several backups, in no order. */
function hashOf(descriptor: number, { target, bytes }: FileToFinish): Sha256Hex {
  buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
  const hash = createHash('sha256');
  for (let done = 0; done < bytes;) {
    const count = readSync(descriptor, buffer, 0, Math.min(BUFFER_BYTES, bytes - done), done);
    if (count === 0) throw new WaldenError('LOCAL_IO', `${target} has ended after ${done} bytes instead of ${bytes}`);
    hash.update(buffer.subarray(0, count));
    done += count;
  }
  return hash.digest('hex') as Sha256Hex;
}
