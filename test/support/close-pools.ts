import { setTimeout as delay } from 'node:timers/promises';
import { createWorkerPool, workerTask } from '../../src/platform/worker-pool.ts';

/**
 * A process of its own, since what it looks for ends the process: closes pools while their thread loads its entry file, at
 * moments that are spread over the time that this takes.
 */
const entry = new URL(process.argv[2] ?? '');
const MOMENTS = 12;

const started = performance.now();
const whole = createWorkerPool(entry, 1);
await whole.run(workerTask<null, null>('task'), null);
const loadingMs = performance.now() - started;
await whole.close();
for (let moment = 0; moment < MOMENTS; moment += 1) {
  const pool = createWorkerPool(entry, 1);
  await delay((loadingMs * moment) / MOMENTS);
  await pool.close();
}
