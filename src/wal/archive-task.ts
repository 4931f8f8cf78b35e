import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import type { ClusterIdentity, WalIndex } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { workerTask } from '../platform/worker-pool.ts';
import { frameCompressor } from '../repository/codec.ts';
import { encodeWalObjectHeader, fitIndex, type WalObjectHeader } from '../repository/wal-object.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { parseWalName, type WalFileName } from '../postgres/wal-name.ts';
import { FileTarget, FRAME_BYTES, MemoryTarget } from './archive-target.ts';
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
  /** Unique name of a file to be made, in a directory that exists, or memory (OBJECT_ROOM_BYTES) for an object of one frame. */
  readonly into: string | SharedArrayBuffer;
}

export interface ArchiveOutput {
  readonly plainBytes: number;
  readonly sha256: Sha256Hex;
  readonly storedBytes: number;
  readonly index: WalIndex | undefined;
  /** Text of a history file. */
  readonly history: string | undefined;
  /** Of the object, where it is in memory. */
  readonly storedSha256: Sha256Hex | undefined;
}

/** Small enough to be still in the processor's cache when it is hashed, after it was walked. */
const CHUNK_BYTES = 256 * 1024;
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
  const target = typeof input.into === 'string' ? new FileTarget(input.name, input.into) : new MemoryTarget(input.into);
  try {
    const plainBytes = readFrames(
      source,
      input.source,
      (chunk) => {
        validator.feed(chunk);
        plainHash.update(chunk);
      },
      (frame) => {
        target.add(compressor, frame);
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
    const stored = target.finish(encodeWalObjectHeader(header));
    return { plainBytes, sha256: header.sha256, index: header.index, history, ...stored };
  } catch (error) {
    target.discard();
    throw error;
  } finally {
    target.close();
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

function assertUnchanged(before: Stats, after: Stats, bytes: number, path: string): void {
  if (before.size === after.size && before.mtimeMs === after.mtimeMs && bytes === before.size) return;
  throw new WaldenError('FORMAT_INVALID', `${path} changed while it was read`, {
    hint: 'archive only files that PostgreSQL has finished: it calls archive_command for them',
  });
}

function hexOf(hash: Hash): Sha256Hex {
  return hash.digest('hex') as Sha256Hex;
}
