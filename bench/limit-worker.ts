import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { Compressor } from 'zstd-napi';

/** The bytes of files through read, hash, compression and fsync, and nothing else. */
export interface LimitInput {
  readonly files: readonly string[];
  readonly level: number;
  readonly directory: string;
  /** Shared by the workers: the number of the next file. */
  readonly next: SharedArrayBuffer;
  /** Each file its own output and fsync, or one output for all, synced at the end. */
  readonly syncEach: boolean;
}

const CHUNK_BYTES = 4 * 1024 * 1024;

const { files, level, directory, next, syncEach } = workerData as LimitInput;
const counter = new Int32Array(next);
const compressor = new Compressor();
compressor.setParameters({ compressionLevel: level });
const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
let output: number | undefined;
for (;;) {
  const index = Atomics.add(counter, 0, 1);
  const file = files[index];
  if (file === undefined) break;
  if (syncEach || output === undefined) output = openSync(`${directory}/${index}`, 'wx');
  const source = openSync(file, 'r');
  const hash = createHash('sha256');
  for (let length = readSync(source, chunk); length > 0; length = readSync(source, chunk)) {
    const piece = chunk.subarray(0, length);
    hash.update(piece);
    writeSync(output, compressor.compress(piece));
  }
  hash.digest();
  closeSync(source);
  if (!syncEach) continue;
  fsyncSync(output);
  closeSync(output);
  unlinkSync(`${directory}/${index}`);
}
if (!syncEach && output !== undefined) {
  fsyncSync(output);
  closeSync(output);
}
