import { createHash, type Hash } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { type ByteSource, closeSource, readBytes } from '../platform/byte-source.ts';
import { workerTask } from '../platform/worker-pool.ts';
import type { Micros } from '../postgres/timestamp.ts';
import type { ManifestFrame } from '../repository/manifest.ts';
import { FrameReader } from './frame-reader.ts';
import { type TargetOwner, TargetFile } from './target-file.ts';

/** On a worker: turns a run of stored frames into files, each checked against its hash while it is written. */
export const restoreFilesTask = workerTask<RestoreFilesInput, RestoreFilesOutput>('restoreFiles');

export interface RestoreFilesInput {
  /** The frames of all the files, one after the other. */
  readonly bytes: ByteSource;
  readonly files: readonly FileToRestore[];
  /** The pack, for errors. */
  readonly object: string;
  /** The attempt before may have left files, which are written anew. Otherwise a file that is there stands twice in the list. */
  readonly again: boolean;
  readonly owner: TargetOwner | undefined;
}

export interface FileToRestore {
  /** As in the manifest, for errors. */
  readonly path: string;
  /** Where it goes: absolute. */
  readonly target: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
  readonly skip: number;
  readonly frames: readonly ManifestFrame[];
  /** Stored bytes to pass over before the first frame. */
  readonly before: number;
}

export interface RestoreFilesOutput {
  readonly files: number;
  readonly bytes: number;
}

/** Files kept open to be fsynced together: the first fsync writes most of what the others wait for. */
const OPEN_FILES = 128;

/**
 * All files are durable when this resolves.
 * @throws CHECKSUM_MISMATCH naming the file and the object, FORMAT_INVALID (a file that stands twice in the manifest),
 * LOCAL_IO, STORAGE_FULL (the target), and what the sender's source throws
 */
export async function restoreFiles(input: RestoreFilesInput): Promise<RestoreFilesOutput> {
  const reader = new FrameReader(readBytes(input.bytes), input.object);
  const open: TargetFile[] = [];
  const settle = async (): Promise<void> => {
    for (const target of open) await target.sync();
    for (const target of open.splice(0)) await target.close();
  };
  let bytes = 0;
  try {
    for (const file of input.files) {
      const target = new TargetFile(file, input.again);
      open.push(target);
      await writeFile(target, file, reader, input);
      bytes += file.size;
      if (open.length >= OPEN_FILES) await settle();
    }
    await settle();
  } finally {
    for (const target of open) await target.close();
    await reader.close();
    // Left before the first byte was asked for, the channel would keep its sender waiting.
    closeSource(input.bytes);
  }
  return { files: input.files.length, bytes };
}

async function writeFile(
  target: TargetFile,
  file: FileToRestore,
  reader: FrameReader,
  { object, owner }: RestoreFilesInput,
): Promise<void> {
  const what = `${file.path} in ${object}`;
  const hash = createHash('sha256');
  let skip = file.skip;
  let left = file.size;
  await reader.pass(file.before);
  for (const [storedBytes, plainBytes] of file.frames) {
    const plain = await reader.frame(storedBytes, plainBytes, what);
    const data = plain.subarray(Math.min(skip, plain.byteLength)).subarray(0, left);
    skip -= Math.min(skip, plain.byteLength);
    left -= data.byteLength;
    hash.update(data);
    await target.write(data);
  }
  assertSound(file, left, hash, what);
  target.setAttributes(owner);
}

function assertSound(file: FileToRestore, left: number, hash: Hash, what: string): void {
  const found = hash.digest('hex');
  if (left === 0 && found === file.sha256) return;
  throw new WaldenError('CHECKSUM_MISMATCH', `${what} is not what was backed up: its hash differs`, {
    details: { path: file.path, expected: file.sha256, found },
  });
}
