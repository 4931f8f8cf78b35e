import { WaldenError } from '../../errors.ts';
import type { FilledUnit } from './unit.ts';

/**
 * Which room holds which unit, for workers that take the next one: shared memory, with a place for as many units as there are
 * rooms, since no more can be under way.
 */
export class UnitBoard {
  readonly shared: SharedArrayBuffer;
  readonly #cells: Int32Array;
  readonly #places: number;

  static create(rooms: number): UnitBoard {
    return new UnitBoard(new SharedArrayBuffer(2 * rooms * Int32Array.BYTES_PER_ELEMENT));
  }

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#cells = new Int32Array(shared);
    this.#places = this.#cells.length / 2;
  }

  /** Before a task is started for it. */
  put(number: number, { room, textBytes }: Pick<FilledUnit, 'room' | 'textBytes'>): void {
    const at = 2 * (number % this.#places);
    Atomics.store(this.#cells, at, room);
    Atomics.store(this.#cells, at + 1, textBytes);
  }

  get(number: number): Pick<FilledUnit, 'room' | 'textBytes'> {
    const at = 2 * (number % this.#places);
    const [room, textBytes] = [Atomics.load(this.#cells, at), Atomics.load(this.#cells, at + 1)];
    if (textBytes === 0) throw new WaldenError('INTERNAL', `unit ${number} is not there`);
    return { room, textBytes };
  }
}
