import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { WaldenError, systemErrorCode, toWaldenError } from '../errors.ts';
import type { ClusterIdentity, WalIndex } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { workerTask } from '../platform/worker-pool.ts';
import { StreamCompressor } from '../repository/codec.ts';
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

const CHUNK_BYTES = 1024 * 1024;
let chunkBuffer: Buffer | undefined;

/**
 * Reads once, in bounded memory: each chunk is validated, hashed and compressed. The staged file is fsynced and whole
 * when this returns; on an error it is gone.
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
    readChunks(descriptor, (chunk) => hash.update(chunk));
    return { sha256: hexOf(hash) };
  } finally {
    closeSync(descriptor);
  }
}

function stageObject(input: ArchiveInput, source: number): ArchiveOutput {
  const file = parseWalName(input.name);
  const before = fstatSync(source);
  const validator = createWalValidator(file, input.identity, before.size);
  const compressor = new StreamCompressor(input.compressionLevel, before.size);
  const plainHash = createHash('sha256');
  const staged = openStaged(input);
  try {
    let position = WAL_HEADER_BYTES;
    const store = (piece: Uint8Array): void => {
      position += writeAll(staged, piece, position);
    };
    const plainBytes = readChunks(source, (chunk) => {
      validator.feed(chunk);
      plainHash.update(chunk);
      compressor.feed(chunk, store);
    });
    compressor.finish(store);
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
    fsyncSync(staged);
    return { plainBytes, sha256: header.sha256, storedBytes: position, index: header.index, history };
  } catch (error) {
    unlinkSync(input.staged);
    throw stagingError(error, input);
  } finally {
    closeSync(staged);
  }
}

function openStaged(input: ArchiveInput): number {
  try {
    return openSync(input.staged, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o640);
  } catch (error) {
    throw stagingError(error, input);
  }
}

function openSource(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT') throw new WaldenError('ARCHIVE_FILE_MISSING', `${path} does not exist`, { cause });
    throw new WaldenError('LOCAL_IO', `unable to open ${path} (${code ?? 'unknown'})`, {
      hint: 'the user of the service must be able to read the WAL files of PostgreSQL',
      cause,
    });
  }
}

/** Calls `take` for every chunk of at most 1 MiB; returns the number of bytes. */
function readChunks(descriptor: number, take: (chunk: Buffer) => void): number {
  chunkBuffer ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let total = 0;
  for (;;) {
    let filled = 0;
    // A chunk is filled up: the walk wants whole pages.
    for (;;) {
      const bytes = readSync(descriptor, chunkBuffer, filled, CHUNK_BYTES - filled, null);
      filled += bytes;
      if (bytes === 0 || filled === CHUNK_BYTES) break;
    }
    if (filled === 0) return total;
    take(chunkBuffer.subarray(0, filled));
    total += filled;
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

function stagingError(error: unknown, input: ArchiveInput): WaldenError {
  const code = systemErrorCode(error);
  if (code === undefined) return toWaldenError(error);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new WaldenError(full ? 'STORAGE_FULL' : 'LOCAL_IO', `unable to stage ${input.name} (${code})`, {
    cause: error,
  });
}

function hexOf(hash: Hash): Sha256Hex {
  return hash.digest('hex') as Sha256Hex;
}
