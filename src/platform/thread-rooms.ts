import { workerData } from 'node:worker_threads';

/**
 * Large memory for one task at a time on each thread of a pool. All threads share the rooms, and a task takes the first one
 * that is free: with memory of its own, each thread would keep what the largest of its tasks ever wrote, and threads that work
 * one after the other would keep it all of them.
 */

/** The segment of a WAL file, and what it may become when it is compressed. Pages that were never written cost nothing. */
export const THREAD_ROOM_BYTES = 33 * 1024 * 1024;

/** What each thread of a pool is given, as its `workerData`. */
export interface ThreadRooms {
  /** One for each thread. */
  readonly rooms: readonly SharedArrayBuffer[];
  /** For each room whether it is taken: 32-bit numbers, 0 or 1. */
  readonly taken: SharedArrayBuffer;
}

export function createThreadRooms(threads: number): ThreadRooms {
  return {
    rooms: Array.from({ length: threads }, () => new SharedArrayBuffer(THREAD_ROOM_BYTES)),
    taken: new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT),
  };
}

/** Gives `work` a room of THREAD_ROOM_BYTES, which is its own until it returns or throws. */
export function withThreadRoom<Result>(work: (room: Buffer) => Result): Result {
  const { rooms, taken } = threadRooms ?? { rooms: [], taken: new SharedArrayBuffer(0) };
  const cells = new Int32Array(taken);
  const index = rooms.findIndex((_, at) => Atomics.compareExchange(cells, at, 0, 1) === 0);
  const room = rooms[index];
  // Outside of a pool, or behind a thread that died in its work.
  if (room === undefined) return work(Buffer.allocUnsafeSlow(THREAD_ROOM_BYTES));
  try {
    return work(Buffer.from(room));
  } finally {
    Atomics.store(cells, index, 0);
  }
}

const threadRooms = (workerData as { readonly threadRooms?: ThreadRooms } | null | undefined)?.threadRooms;
