import { Worker } from 'node:worker_threads';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import type { LimitInput } from './limit-worker.ts';
import type { Figures } from './report.ts';

const WORKERS = 2;

/** Segments read, hashed, compressed and fsynced one by one by as many threads as there are workers. */
export async function limitOfWal(files: readonly string[], level: number): Promise<Figures> {
  const { seconds, cpuSeconds } = await limit(files, level, true);
  return { 'segments/s': files.length / seconds, 'CPU ms/segment': (cpuSeconds * 1000) / files.length };
}

/** Files read, hashed, compressed and fsynced at the end. */
export async function limitOfBackup(files: readonly string[], level: number): Promise<Figures> {
  const { seconds, cpuSeconds, bytes } = await limit(files, level, false);
  return { s: seconds, 'MB/s': bytes / seconds / 1e6, 'CPU s': cpuSeconds };
}

async function limit(
  files: readonly string[],
  level: number,
  syncEach: boolean,
): Promise<{ readonly seconds: number; readonly cpuSeconds: number; readonly bytes: number }> {
  const directory = newDirectory('limit');
  const input: LimitInput = { files, level, directory, next: new SharedArrayBuffer(4), syncEach };
  try {
    const usage = process.cpuUsage();
    const begin = performance.now();
    const bytes = await Promise.all(
      Array.from({ length: WORKERS }, () => {
        const worker = new Worker(new URL('./limit-worker.js', import.meta.url), { workerData: input });
        return new Promise<number>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
      }),
    );
    const seconds = (performance.now() - begin) / 1000;
    const { user, system } = process.cpuUsage(usage);
    return { seconds, cpuSeconds: (user + system) / 1e6, bytes: bytes.reduce((sum, count) => sum + count, 0) };
  } finally {
    removeDirectory(directory);
  }
}
