import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { Decompressor } from 'zstd-napi';
import type { Frozen } from './limit.ts';

/** Compressed files through read, decompression, hash, write and fsync, and nothing else. */
export interface ThawInput extends Frozen {
  /** Where the files go. */
  readonly directory: string;
  /** Shared by the workers: the number of the next file. */
  readonly next: SharedArrayBuffer;
}

/** Files that are fsynced together: the first fsync writes most of what the others wait for. */
const OPEN_FILES = 128;

const { directory, pack, files, next } = workerData as ThawInput;
const counter = new Int32Array(next);
const decompressor = new Decompressor();
mkdirSync(directory, { recursive: true });
const source = openSync(pack, 'r');
let open: number[] = [];
const settle = (): void => {
  for (const descriptor of open) fsyncSync(descriptor);
  for (const descriptor of open) closeSync(descriptor);
  open = [];
};
for (;;) {
  const index = Atomics.add(counter, 0, 1);
  const file = files[index];
  if (file === undefined) break;
  const target = openSync(join(directory, String(index)), 'wx');
  const hash = createHash('sha256');
  let { offset } = file;
  for (const [stored] of file.frames) {
    const frame = Buffer.allocUnsafe(stored);
    readSync(source, frame, 0, stored, offset);
    const plain = decompressor.decompress(frame);
    hash.update(plain);
    writeSync(target, plain);
    offset += stored;
  }
  hash.digest();
  open.push(target);
  if (open.length >= OPEN_FILES) settle();
}
settle();
closeSync(source);
