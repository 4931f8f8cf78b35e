import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Compressor } from 'zstd-napi';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import type { BenchCluster } from './cluster-source.ts';
import type { ThawInput } from './limit-restore-worker.ts';
import type { LimitInput } from './limit-worker.ts';
import { figuresOf, type Load } from './measured.ts';
import type { Figures } from './report.ts';

/** What the hardware allows: the same bytes through the same native code, and nothing else around it. */

const WORKERS = 2;
const FRAME_BYTES = 4 * 1024 * 1024;

interface Spent {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Segments read, hashed, compressed and fsynced one by one by as many threads as there are workers. */
export async function limitOfWal(files: readonly string[], level: number): Promise<Figures> {
  const { seconds, cpuSeconds } = await compressAll(files, level, true);
  return { 'segments/s': files.length / seconds, 'CPU ms/segment': (cpuSeconds * 1000) / files.length };
}

/** Files read, hashed, compressed and fsynced at the end. */
export async function limitOfBackup({ files, bytes }: BenchCluster, level: number): Promise<Figures> {
  const { seconds, cpuSeconds } = await compressAll(files, level, false);
  return figuresOf(seconds, { bytes, files: files.length }, { 'CPU s': cpuSeconds });
}

async function compressAll(files: readonly string[], level: number, syncEach: boolean): Promise<Spent> {
  const directory = newDirectory('limit');
  const input: LimitInput = { files, level, directory, next: new SharedArrayBuffer(4), syncEach };
  try {
    return await onWorkers(new URL('./limit-worker.js', import.meta.url), input);
  } finally {
    removeDirectory(directory);
  }
}

/** Compressed files, one after the other in one file. */
export interface Frozen {
  readonly directory: string;
  readonly pack: string;
  /** Of each file: where it begins, and the stored and plain lengths of its frames. */
  readonly files: readonly { readonly offset: number; readonly frames: readonly (readonly [number, number])[] }[];
}

/** Compresses files for `limitOfRestore`. */
export function freeze(sources: readonly string[], level: number): Frozen {
  const directory = newDirectory('frozen');
  const pack = join(directory, 'pack');
  const output = openSync(pack, 'wx');
  const compressor = new Compressor();
  compressor.setParameters({ compressionLevel: level });
  const chunk = Buffer.allocUnsafeSlow(FRAME_BYTES);
  let offset = 0;
  const files = sources.map((path) => {
    const source = openSync(path, 'r');
    const file = { offset, frames: [] as [number, number][] };
    for (let length = readSync(source, chunk); length > 0; length = readSync(source, chunk)) {
      const frame = compressor.compress(chunk.subarray(0, length));
      writeSync(output, frame);
      file.frames.push([frame.byteLength, length]);
      offset += frame.byteLength;
    }
    closeSync(source);
    return file;
  });
  closeSync(output);
  return { directory, pack, files };
}

/** Files read, decompressed, hashed, written and fsynced into one directory. */
export async function limitOfRestore(frozen: Frozen, to: string, load: Load): Promise<Figures> {
  const input: ThawInput = { ...frozen, directory: to, next: new SharedArrayBuffer(4) };
  const { seconds, cpuSeconds } = await onWorkers(new URL('./limit-restore-worker.js', import.meta.url), input);
  return figuresOf(seconds, load, { 'CPU s': cpuSeconds });
}

async function onWorkers(entry: URL, workerData: LimitInput | ThawInput): Promise<Spent> {
  const usage = process.cpuUsage();
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: WORKERS }, () => {
      const worker = new Worker(entry, { workerData });
      return new Promise<void>((resolve, reject) => {
        worker.once('exit', () => {
          resolve();
        });
        worker.once('error', reject);
      });
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(usage);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}
