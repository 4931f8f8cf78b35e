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
  type Stats,
  unlinkSync,
} from 'node:fs';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { localIoError, systemErrorCode } from '../../errors.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import type { TargetOwner } from '../target-file.ts';

/** On a worker: keeps the files that are as they should be, and removes the others. */
export const compareFilesTask = workerTask<CompareFilesInput, readonly boolean[]>('compareFiles');

export interface CompareFilesInput {
  readonly files: readonly FileToCompare[];
  readonly owner: TargetOwner | undefined;
}

export interface FileToCompare {
  /** Absolute. */
  readonly target: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
}

const BUFFER_BYTES = 1024 * 1024;
/** What a file system may round a time by. */
const MTIME_MICROS = 1;

let buffer: Buffer | undefined;

/**
 * What is kept is durable when this returns: whoever wrote it may not have seen to that.
 * @returns of each file whether it was kept; where not, nothing stands under its name. @throws LOCAL_IO
 */
export function compareFiles({ files, owner }: CompareFilesInput): readonly boolean[] {
  return files.map((file) => {
    try {
      if (isKept(file, owner)) return true;
      removeFile(file.target);
      return false;
    } catch (error) {
      throw localIoError(error, `unable to compare ${file.target}`);
    }
  });
}

function isKept(file: FileToCompare, owner: TargetOwner | undefined): boolean {
  const descriptor = openToRead(file.target);
  if (descriptor === undefined) return false;
  try {
    const found = fstatSync(descriptor);
    if (!found.isFile() || found.size !== file.size || hashOf(descriptor, file.size) !== file.sha256) return false;
    putRight(descriptor, found, file, owner);
    fsyncSync(descriptor);
    return true;
  } finally {
    closeSync(descriptor);
  }
}

/** One that may not be read is written anew like one that is not there. */
function openToRead(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ELOOP', 'ENXIO'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** Undefined when it cannot be read to its end: such a disk may still take a new file elsewhere on it. */
function hashOf(descriptor: number, size: number): string | undefined {
  buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
  const hash = createHash('sha256');
  for (let done = 0; done < size;) {
    const count = readOrFail(descriptor, buffer.subarray(0, size - done), done);
    if (count === undefined || count === 0) return undefined;
    hash.update(buffer.subarray(0, count));
    done += count;
  }
  return hash.digest('hex');
}

function readOrFail(descriptor: number, into: Buffer, position: number): number | undefined {
  try {
    return readSync(descriptor, into, 0, into.byteLength, position);
  } catch (error) {
    if (systemErrorCode(error) === 'EIO') return undefined;
    throw error;
  }
}

/** Only what differs: a file of which nothing changes costs no fsync worth the name. */
function putRight(descriptor: number, found: Stats, file: FileToCompare, owner: TargetOwner | undefined): void {
  if (owner !== undefined && (found.uid !== owner.uid || found.gid !== owner.gid)) {
    fchownSync(descriptor, owner.uid, owner.gid);
  }
  const mode = file.mode & 0o777;
  if ((found.mode & 0o7777) !== mode) fchmodSync(descriptor, mode);
  if (Math.abs(found.mtimeMs * 1000 - file.mtime) > MTIME_MICROS) {
    futimesSync(descriptor, file.mtime / 1e6, file.mtime / 1e6);
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
