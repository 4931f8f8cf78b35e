import { WaldenError } from '../../errors.ts';
import { STOP } from '../pack-input.ts';

/**
 * In which order workers write what they compressed at the same time: each waits for its turn, is told where the packs end,
 * takes its place there and gives the turn to the next one at once. All of it is in shared memory, as 64-bit numbers.
 *
 * A worker takes the number of the next unit when it begins, whatever it was started for: so every unit before its own is done
 * or at work, and the waiting has an end. A pool may begin its tasks in another order than they were given to it.
 */
export type TurnCells = BigInt64Array<SharedArrayBuffer>;

/** Number of the unit whose turn it is. */
const TURN = 0;
/** The open pack, from 1, and where it ends. */
const PACK = 1;
const OFFSET = 2;
/** Number of the unit that is begun next. */
const NEXT = 3;
const CELLS = 4;

/** How often whoever waits looks whether all is to stop, and how often at most: an hour, on a disk that hangs. */
const LOOK_MS = 1000;
const MOST_LOOKS = 3600;

export function createTurns(): TurnCells {
  const cells = new BigInt64Array(new SharedArrayBuffer(CELLS * BigInt64Array.BYTES_PER_ELEMENT));
  cells[PACK] = 1n;
  return cells;
}

/** The number of the next unit, which is this worker's from now on. */
export function beginNext(cells: TurnCells): number {
  return Number(Atomics.add(cells, NEXT, 1n));
}

export interface Place {
  readonly pack: number;
  readonly offset: number;
}

/**
 * Waits on this thread until it is the turn of unit `number`; `takes` says where it goes when the packs end at `end`, and its
 * bytes. @throws INTERRUPTED when the work is to stop
 */
export function takeTurn(
  cells: TurnCells,
  control: BigInt64Array,
  { number, bytes, opensPackAfter }: { number: number; bytes: number; opensPackAfter: number | undefined },
): Place {
  waitFor(cells, control, BigInt(number));
  let [pack, offset] = [Number(cells[PACK]), Number(cells[OFFSET])];
  if (opensPackAfter !== undefined && offset >= opensPackAfter) [pack, offset] = [pack + 1, 0];
  cells[PACK] = BigInt(pack);
  cells[OFFSET] = BigInt(offset + bytes);
  Atomics.store(cells, TURN, BigInt(number + 1));
  Atomics.notify(cells, TURN);
  return { pack, offset };
}

/** Wakes who waits, to see that the work is to stop. */
export function wakeTurns(cells: TurnCells): void {
  Atomics.notify(cells, TURN);
}

function waitFor(cells: TurnCells, control: BigInt64Array, number: bigint): void {
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    const turn = Atomics.load(cells, TURN);
    if (turn === number) return;
    if (Atomics.load(control, STOP) !== 0n) break;
    Atomics.wait(cells, TURN, turn, LOOK_MS);
  }
  throw new WaldenError('INTERRUPTED', 'the backup was interrupted');
}
