import { createHash, type Hash } from 'node:crypto';
import type { ClusterIdentity, WalIndex } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { withThreadRoom } from '../platform/thread-rooms.ts';
import { workerTask } from '../platform/worker-pool.ts';
import { frameCompressor } from '../repository/codec.ts';
import { encodeWalObjectHeader, fitIndex, type WalObjectHeader } from '../repository/wal-object.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { parseWalName, type WalFileName } from '../postgres/wal-name.ts';
import { FileTarget, FRAME_BYTES, MemoryTarget } from './archive-target.ts';
import { CHUNK_BYTES, type OpenFileSource, openFileSource, type WalFileSource } from './file-source.ts';
import { createWalValidator } from './validate.ts';

/** On a worker: checks one WAL file and stages it as the object that will be stored. */
export const archiveTask = workerTask<ArchiveInput, ArchiveOutput>('archiveWalFile');

export interface ArchiveInput {
  readonly source: WalFileSource;
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

/**
 * Reads once, in bounded memory: each chunk is validated and hashed, each frame compressed. The staged file is whole when
 * this returns, but not fsynced: the disk takes as long as half a compression, and this thread has better things to do. On
 * an error it is gone.
 * @throws FORMAT_INVALID, SERVER_MISMATCH (refused by validation), ARCHIVE_FILE_MISSING, LOCAL_IO, STORAGE_FULL
 */
export function archiveWalFile(input: ArchiveInput): ArchiveOutput {
  return withThreadRoom((room) => {
    const source = openFileSource(input.source, room.subarray(0, FRAME_BYTES));
    try {
      return stageObject(input, source, room.subarray(FRAME_BYTES));
    } finally {
      source.close();
    }
  });
}

/** On a worker: the hash of a file, to compare it with what is stored under its name. */
export const hashTask = workerTask<HashInput, { readonly sha256: Sha256Hex }>('hashFile');

interface HashInput {
  readonly source: WalFileSource;
}

/** One of this thread. */
let hashBuffer: Buffer | undefined;

export function hashFile(input: HashInput): { readonly sha256: Sha256Hex } {
  const source = openFileSource(input.source, (hashBuffer ??= Buffer.allocUnsafeSlow(CHUNK_BYTES)));
  try {
    const hash = createHash('sha256');
    readFrames(source, (chunk) => hash.update(chunk));
    return { sha256: hexOf(hash) };
  } finally {
    source.close();
  }
}

/** @param memory for what a frame becomes */
function stageObject(input: ArchiveInput, source: OpenFileSource, memory: Uint8Array): ArchiveOutput {
  const file = parseWalName(input.name);
  const validator = createWalValidator(file, input.identity, source.size);
  const compressor = frameCompressor(input.compressionLevel);
  const plainHash = createHash('sha256');
  const { name, into } = input;
  const target = typeof into === 'string' ? new FileTarget(name, into, memory) : new MemoryTarget(into);
  try {
    const plainBytes = readFrames(
      source,
      (chunk) => {
        validator.feed(chunk);
        plainHash.update(chunk);
      },
      (frame) => {
        target.add(compressor, frame);
      },
    );
    source.assertUnchanged(plainBytes);
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

/**
 * Calls `take` for every chunk, and `takeFrame` for every frame of chunks, the last of which may be empty only when the file
 * is. Returns the number of bytes.
 */
function readFrames(
  source: OpenFileSource,
  take: (chunk: Buffer) => void,
  takeFrame: (frame: Buffer) => void = () => undefined,
): number {
  for (let total = 0; ;) {
    const frame = source.readFrame(take);
    if (frame.length > 0 || total === 0) takeFrame(frame);
    total += frame.length;
    if (frame.length < source.frameBytes) return total;
  }
}

function hexOf(hash: Hash): Sha256Hex {
  return hash.digest('hex') as Sha256Hex;
}
