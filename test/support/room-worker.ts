import { threadId } from 'node:worker_threads';
import { withThreadRoom } from '../../src/platform/thread-rooms.ts';
import { asWorkerFunction, workerTask } from '../../src/platform/worker-pool.ts';

/** Worker functions for the tests of thread rooms. */
export interface Visit {
  /** Written into the room. */
  readonly mark: number;
  /** 32-bit numbers: the first counts who is here, the second is set to let them go on. */
  readonly gate?: SharedArrayBuffer;
  readonly fails?: boolean;
}
export interface Visited {
  readonly thread: number;
  /** What stood in the room before. */
  readonly found: number;
  /** What stands there at the end. */
  readonly left: number;
}
export const visitTask = workerTask<Visit, Visited>('visit');
/** Keeps one thread busy, without a room; the others return at once. */
export const occupyTask = workerTask<{ readonly thread: number; readonly gate: SharedArrayBuffer }, number>('occupy');

const LONGEST_MS = 60_000;

export const visit = asWorkerFunction(({ mark, gate, fails }: Visit) =>
  withThreadRoom((room): Visited => {
    const found = room.readUInt8(0);
    room.writeUInt8(mark, 0);
    if (gate !== undefined) pass(gate);
    if (fails === true) throw new Error('as asked for');
    return { thread: threadId, found, left: room.readUInt8(0) };
  }),
);

export const occupy = asWorkerFunction(({ thread, gate }: { thread: number; gate: SharedArrayBuffer }) => {
  if (thread === threadId) pass(gate);
  return threadId;
});

function pass(gate: SharedArrayBuffer): void {
  const cells = new Int32Array(gate);
  Atomics.add(cells, 0, 1);
  if (Atomics.wait(cells, 1, 0, LONGEST_MS) === 'timed-out') throw new Error('the gate stayed closed');
}
