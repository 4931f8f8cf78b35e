import { madeShared } from './collector.ts';

const STEP_BYTES = 1024 * 1024;

/**
 * Shared memory for bytes that pass from thread to thread, used again and again: with memory of its own for every object, a
 * quarter of the time of the thread that sends them to a store went into the collector, which counts what stands outside its
 * heap.
 */
export class SharedRooms {
  readonly #kept: number;
  #free: readonly SharedArrayBuffer[] = [];

  /** `kept`: how many stay for later. */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** For so many bytes or more. Pages of it that are never written cost nothing. */
  take(bytes: number): SharedArrayBuffer {
    const found = this.#free.find(({ byteLength }) => byteLength >= bytes);
    if (found === undefined) return newRoom(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    this.#free = this.#free.filter((room) => room !== found);
    return found;
  }

  /** Nobody reads or writes it any more. What is not given back, after a failure say, is the collector's. */
  give(room: SharedArrayBuffer): void {
    // The last ones fit best what comes next.
    this.#free = [room, ...this.#free].slice(0, this.#kept);
  }
}

function newRoom(bytes: number): SharedArrayBuffer {
  madeShared(bytes);
  return new SharedArrayBuffer(bytes);
}
