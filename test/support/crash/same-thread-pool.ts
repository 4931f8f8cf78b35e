import { type ErrorDocument, errorFromDocument } from '../../../src/errors.ts';
import type { WorkerPool, WorkerTask } from '../../../src/platform/worker-pool.ts';
import * as worker from '../../../src/worker.ts';

type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: ErrorDocument };
type WorkerFunction = (input: unknown) => Promise<Outcome>;

/**
 * Does the workers' tasks in this thread, one at a time, where the test can see what they write. Their functions share
 * buffers as on a thread of their own.
 */
export function sameThreadPool(): WorkerPool {
  const functions = new Map<string, unknown>(Object.entries(worker));
  let last: Promise<unknown> = Promise.resolve();
  return {
    threads: 2,
    async run<Input, Output>(task: WorkerTask<Input, Output>, input: Input): Promise<Output> {
      const work = functions.get(task.name) as WorkerFunction;
      const outcome = last.then(() => work(input));
      last = outcome;
      const settled = await outcome;
      if (!settled.ok) throw errorFromDocument(settled.error);
      return settled.value as Output;
    },
    close: () => Promise.resolve(),
  };
}
