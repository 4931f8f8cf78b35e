import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** How much of it may stand outside the heap before it is looked for. Of each thread. */
const YOUNG_BYTES = 8 * 1024 * 1024;
const SHARED_BYTES = 128 * 1024 * 1024;

type Collect = (options?: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;
let young = 0;
let shared = 0;

/**
 * Tells of memory outside the heap that was made for a moment: now and then the young generation is collected, which takes a
 * fraction of a millisecond. By itself V8 waits until 64 MB of it stand there, and then goes through the whole heap: that cost
 * as much as the decryption that it was for.
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
