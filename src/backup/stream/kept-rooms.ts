import { createTextRoom } from '../../platform/shared-text.ts';
import { ROOM_BYTES, type UnitRoom } from './unit.ts';

/**
 * The rooms of the last backup, for the next one. V8 does not count shared memory: what the workers have of it would stay until
 * they collect, which may be long after, and every backup would add its own.
 */

/** Those of a backup with five workers. */
const MOST = 8;

let kept: readonly UnitRoom[] = [];

export function takeRooms(count: number): readonly UnitRoom[] {
  const taken = kept.slice(0, count);
  kept = kept.slice(count);
  const more = Array.from({ length: count - taken.length }, () => ({
    bytes: new SharedArrayBuffer(ROOM_BYTES),
    text: createTextRoom(),
  }));
  return [...taken, ...more];
}

/** Only where no thread can still be writing into them. */
export function giveRooms(rooms: readonly UnitRoom[]): void {
  kept = [...rooms, ...kept].slice(0, MOST);
}
