import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { localIoError, systemErrorCode, toWaldenError, WaldenError } from '../errors.ts';
import type { ClusterIdentity, WalIndex } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { workerTask } from '../platform/worker-pool.ts';
import { frameCompressor } from '../repository/codec.ts';
import { encodeWalObjectHeader, fitIndex, WAL_HEADER_BYTES, type WalObjectHeader } from '../repository/wal-object.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { parseWalName, type WalFileName } from '../postgres/wal-name.ts';
import { createWalValidator } from './validate.ts';

/** On a worker: checks one WAL file and stages it as the object that will be stored. */
export const archiveTask = workerTask<ArchiveInput, ArchiveOutput>('archiveWalFile');

export interface ArchiveInput {
  /** The file as PostgreSQL wrote it. */
  readonly source: string;
  readonly name: WalFileName;
  readonly identity: ClusterIdentity;
  readonly compressionLevel: number;
  readonly archivedAt: Micros;
  /** Unique name of a file to be made, in a directory that exists. */
  readonly staged: string;
}

export interface ArchiveOutput {
  readonly plainBytes: number;
  readonly sha256: Sha256Hex;
  readonly storedBytes: number;
  readonly index: WalIndex | undefined;
  /** Text of a history file. */
  readonly history: string | undefined;
}

/** Small enough to be still in the processor's cache when it is hashed, after it was walked. */
const CHUNK_BYTES = 256 * 1024;
/**
 * A frame is made of what stands in memory in one piece: fed chunk by chunk, zstd copies it all and finds its matches on a
 * slower path. This is the usual size of a segment; larger ones take several frames.
 */
const FRAME_BYTES = 16 * 1024 * 1024;
let frameBuffer: Buffer | undefined;

/**
 * Reads once, in bounded memory: each chunk is validated and hashed, each frame compressed. The staged file is whole when
 * this returns, but not fsynced: the disk takes as long as half a compression, and this thread has better things to do. On
 * an error it is gone.
 * @throws FORMAT_INVALID, SERVER_MISMATCH (refused by validation), ARCHIVE_FILE_MISSING, LOCAL_IO, STORAGE_FULL
 */
export function archiveWalFile(input: ArchiveInput): ArchiveOutput {
  const source = openSource(input.source);
  try {
    return stageObject(input, source);
  } finally {
    closeSync(source);
  }
}

/** On a worker: the hash of a file, to compare it with what is stored under its name. */
export const hashTask = workerTask<{ readonly source: string }, { readonly sha256: Sha256Hex }>('hashFile');

export function hashFile({ source }: { readonly source: string }): { readonly sha256: Sha256Hex } {
  const descriptor = openSource(source);
  try {
    const hash = createHash('sha256');
    readFrames(descriptor, source, (chunk) => hash.update(chunk));
    return { sha256: hexOf(hash) };
  } finally {
    closeSync(descriptor);
  }
}

function stageObject(input: ArchiveInput, source: number): ArchiveOutput {
  const file = parseWalName(input.name);
  const before = fstatSync(source);
  const validator = createWalValidator(file, input.identity, before.size);
  const compressor = frameCompressor(input.compressionLevel);
  const plainHash = createHash('sha256');
  const staged = openStaged(input);
  try {
    let position = WAL_HEADER_BYTES;
    const plainBytes = readFrames(
      source,
      input.source,
      (chunk) => {
        validator.feed(chunk);
        plainHash.update(chunk);
      },
      (frame) => {
        position += writeAll(staged, compressor.compress(frame), position);
      },
    );
    assertUnchanged(before, fstatSync(source), plainBytes, input.source);
    const { index, history } = validator.finish();
    const { identity, archivedAt } = input;
    const header: WalObjectHeader = fitIndex({
      file,
      identity,
      plainBytes,
      sha256: hexOf(plainHash),
      archivedAt,
      index,
    });
    writeAll(staged, encodeWalObjectHeader(header), 0);
    return { plainBytes, sha256: header.sha256, storedBytes: position, index: header.index, history };
  } catch (error) {
    discard(input.staged);
    throw stagingError(error, input);
  } finally {
    closeSync(staged);
  }
}

function openStaged(input: ArchiveInput): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  try {
    try {
      return openSync(input.staged, flags, 0o640);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      // Somebody tidied up. Only this one is made anew: where the directory above is gone too, so is the store.
      mkdirSync(dirname(input.staged), { mode: 0o750 });
      return openSync(input.staged, flags, 0o640);
    }
  } catch (error) {
    throw stagingError(error, input);
  }
}

function openSource(path: string): number {
  const descriptor = openToRead(path);
  try {
    if (fstatSync(descriptor).isFile()) return descriptor;
    throw new WaldenError('FORMAT_INVALID', `${path} is no file`);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Not through a symlink, and without waiting for the writer of a pipe. */
function openToRead(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') {
      throw new WaldenError('ARCHIVE_FILE_MISSING', `${path} does not exist`, { cause });
    }
    throw localIoError(cause, `unable to open ${path}`, {
      hint: 'the user of the service must be able to read the WAL files of PostgreSQL',
    });
  }
}

/**
 * Calls `take` for every chunk, and `takeFrame` for every frame of chunks, the last of which may be empty only when the file
 * is. Returns the number of bytes. @throws LOCAL_IO naming `path`
 */
function readFrames(
  descriptor: number,
  path: string,
  take: (chunk: Buffer) => void,
  takeFrame: (frame: Buffer) => void = () => undefined,
): number {
  frameBuffer ??= Buffer.allocUnsafeSlow(FRAME_BYTES);
  let total = 0;
  for (;;) {
    const filled = fillFrame(descriptor, path, frameBuffer, take);
    if (filled > 0 || total === 0) takeFrame(frameBuffer.subarray(0, filled));
    total += filled;
    if (filled < FRAME_BYTES) return total;
  }
}

/** Returns how many bytes there were until the frame was full or the file ended. */
function fillFrame(descriptor: number, path: string, frame: Buffer, take: (chunk: Buffer) => void): number {
  let filled = 0;
  for (;;) {
    const start = filled;
    const end = Math.min(start + CHUNK_BYTES, frame.length);
    // A chunk is filled up: the walk wants whole pages.
    while (filled < end) {
      const bytes = readChunk(descriptor, path, frame.subarray(filled, end));
      if (bytes === 0) break;
      filled += bytes;
    }
    if (filled > start) take(frame.subarray(start, filled));
    if (filled < end || end === frame.length) return filled;
  }
}

function readChunk(descriptor: number, path: string, into: Buffer): number {
  try {
    return readSync(descriptor, into);
  } catch (error) {
    throw localIoError(error, `unable to read ${path}`, { hint: 'check the disk that the file is on' });
  }
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): number {
  let written = 0;
  while (written < bytes.length) {
    written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
  }
  return written;
}

function assertUnchanged(before: Stats, after: Stats, bytes: number, path: string): void {
  if (before.size === after.size && before.mtimeMs === after.mtimeMs && bytes === before.size) return;
  throw new WaldenError('FORMAT_INVALID', `${path} changed while it was read`, {
    hint: 'archive only files that PostgreSQL has finished: it calls archive_command for them',
  });
}

function stagingError(error: unknown, { name, staged }: ArchiveInput): WaldenError {
  return systemErrorCode(error) === undefined
    ? toWaldenError(error)
    : localIoError(error, `unable to stage ${name} in ${dirname(staged)}`);
}

function discard(staged: string): void {
  try {
    unlinkSync(staged);
  } catch {
    // What went wrong before is to be told; the next start sweeps the file.
  }
}

function hexOf(hash: Hash): Sha256Hex {
  return hash.digest('hex') as Sha256Hex;
}
