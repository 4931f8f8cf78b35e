import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * How much of it may be made before it is looked for. Of each thread. V8 goes through the whole heap when heap and what was made
 * outside it have grown by some 20 MB since the last time, and counts what it has found until the next time that it looks, and
 * whatever else is under way; with 8 MiB, downloads had it go through the heap again as soon as it had done so.
 */
const YOUNG_BYTES = 2 * 1024 * 1024;
const SHARED_BYTES = 128 * 1024 * 1024;

type Collect = (options?: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;
let young = 0;
let shared = 0;

/**
 * Tells of memory outside the heap that was made for a moment: now and then the young generation is collected, which takes a
 * fraction of a millisecond. By itself V8 waits for more of it, and then goes through the whole heap: that cost as much as the
 * decryption that it was for, and nearly twice as much as the rest of a download.
 */
export function madeForAMoment(bytes: number): void {
  young += bytes;
  if (young >= YOUNG_BYTES) freeMoments();
}

/** Collects at once what was made for a moment: for a thread that may have nothing to do for long. */
export function freeMoments(): void {
  young = 0;
  collected({ type: 'minor' });
}

/** Tells of new shared memory, which V8 does not count: without this, what nobody has any more might stay for hours. */
export function madeShared(bytes: number): void {
  shared += bytes;
  if (shared < SHARED_BYTES) return;
  shared = 0;
  collected();
}

function collected(options?: { readonly type: 'minor' }): void {
  collect ??= collector();
  collect(options);
}

/** The function that `node --expose-gc` shows, which a thread cannot be started with. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
