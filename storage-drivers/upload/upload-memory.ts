import { Semaphore } from 'async-mutex';
import { SharedRooms } from '../../src/platform/shared-rooms.ts';

/** The semaphore's work grows with what it counts: so many pieces of memory are enough. */
const MOST_PIECES = 1024;
/** Smaller ones cost nothing to make, and keep larger ones from being found. */
const LEAST_KEPT_BYTES = 1024 * 1024;
/** So many parts are on their way at a time. */
const KEPT = 4;

/** Memory for one piece of a body. */
export interface Allotment {
  /** So much of it, or less, for bytes that are not in memory yet. Asked once. */
  room(bytes: number): Buffer;
  /** `isFree`: nobody can still be sending what stands there, so that it can be used again. */
  release(isFree: boolean): void;
}

/** Memory for uploads: what does not fit waits for its turn. One for each store, for all that goes up to it. */
export class UploadMemory {
  readonly bytes: number;
  readonly #pieceBytes: number;
  readonly #pieces: number;
  readonly #turns: Semaphore;
  /** New memory for each part costs more than what is done with it, in page faults and in V8's collector. */
  readonly #rooms = new SharedRooms(KEPT);

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#pieceBytes = Math.ceil(bytes / MOST_PIECES);
    this.#pieces = Math.floor(bytes / this.#pieceBytes);
    this.#turns = new Semaphore(this.#pieces);
  }

  /** Resolves when there is room. What is larger than all of it takes all. */
  async take(bytes: number): Promise<Allotment> {
    const pieces = Math.ceil(bytes / this.#pieceBytes);
    const [, release] = await this.#turns.acquire(Math.max(1, Math.min(pieces, this.#pieces)));
    let taken: SharedArrayBuffer | undefined;
    return {
      room: (wanted) => {
        if (wanted < LEAST_KEPT_BYTES) return Buffer.allocUnsafeSlow(wanted);
        taken = this.#rooms.take(wanted);
        return Buffer.from(taken, 0, wanted);
      },
      release: (isFree) => {
        if (taken !== undefined && isFree) this.#rooms.give(taken);
        release();
      },
    };
  }
}
