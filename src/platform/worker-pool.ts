import type { Transferable } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { type ErrorDocument, errorFromDocument, errorToDocument } from '../errors.ts';
import { createThreadRooms } from './thread-rooms.ts';

/**
 * Threads for the heavy bytes: hashing, compression, the record walk. A task's input and output are structured-cloned
 * and small; bytes travel through files or through a channel (byte-channel.ts). A started task always runs to its end,
 * so tasks are bounded; what is to stop early is cut into many.
 */

/** Of each thread: short-lived objects alone would let it grow to some 50 MB, in a backup of many small files, say. */
const YOUNG_GENERATION_MB = 8;

/** Names an exported function of the workers' entry file, and carries its types. */
export interface WorkerTask<Input, Output> {
  readonly name: string;
  readonly types?: (input: Input) => Output;
}

export function workerTask<Input, Output>(name: string): WorkerTask<Input, Output> {
  return { name };
}

export interface WorkerPool {
  readonly threads: number;
  /** Rejects with the WaldenError that the task threw. */
  run<Input, Output>(
    task: WorkerTask<Input, Output>,
    input: Input,
    options?: { readonly transfer?: readonly Transferable[] },
  ): Promise<Output>;
  close(): Promise<void>;
}

type Outcome<Output> =
  { readonly ok: true; readonly value: Output } | { readonly ok: false; readonly error: ErrorDocument };

/** Wraps a function for the workers' entry file: Walden's errors would lose their class on the way out of a thread. */
export function asWorkerFunction<Input, Output>(
  work: (input: Input) => Output | Promise<Output>,
): (input: Input) => Promise<Outcome<Output>> {
  return async (input) => {
    try {
      return { ok: true, value: await work(input) };
    } catch (error) {
      return { ok: false, error: errorToDocument(error) };
    }
  };
}

export function createWorkerPool(entry: URL, threads: number): WorkerPool {
  const pool = new Piscina({
    filename: entry.href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
    // Else Piscina loads the entry file by require(), and Node (20, at least) aborts the whole process when a thread that
    // links modules for require() is terminated. As restore_command, that would end a recovery.
    execArgv: ['--no-experimental-require-module'],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    workerData: { threadRooms: createThreadRooms(threads) },
  });
  return {
    threads,
    async run<Input, Output>(
      task: WorkerTask<Input, Output>,
      input: Input,
      options: { readonly transfer?: readonly Transferable[] } = {},
    ): Promise<Output> {
      const transferList = options.transfer === undefined ? undefined : [...options.transfer];
      const outcome = (await pool.run(input, {
        name: task.name,
        ...(transferList === undefined ? {} : { transferList }),
      })) as Outcome<Output>;
      if (!outcome.ok) throw errorFromDocument(outcome.error);
      return outcome.value;
    },
    async close() {
      await pool.close({ force: true });
    },
  };
}
