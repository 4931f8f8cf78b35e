import { Worker } from 'node:worker_threads';

/** A loop that never ends keeps its own thread from noticing: another one counts the seconds. */
const WATCH = `
const { workerData: { turns, hangMs, message } } = require('node:worker_threads');
for (let seen = -1; ;) {
  const now = Atomics.load(turns, 0);
  if (now === seen) {
    require('node:fs').writeSync(2, message + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }
  seen = now;
  if (Atomics.wait(turns, 1, 0, hangMs) !== 'timed-out') break;
}
`;

export interface HangWatch {
  /** Must be called more often than every `hangMs`. */
  alive(): void;
  stop(): Promise<void>;
}

/** Kills this process, with `message` on stderr, when `alive` is not called for `hangMs`. */
export function watchForHangs(hangMs: number, message: string): HangWatch {
  const turns = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(WATCH, { eval: true, workerData: { turns, hangMs, message } });
  return {
    alive() {
      Atomics.add(turns, 0, 1);
    },
    async stop() {
      Atomics.store(turns, 1, 1);
      Atomics.notify(turns, 1);
      await worker.terminate();
    },
  };
}
