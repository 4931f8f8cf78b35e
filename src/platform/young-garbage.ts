import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const STEP_BYTES = 8 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;
let bytes = 0;

/**
 * Tells of memory outside the heap that was made for a moment: now and then the young generation is collected, which takes a
 * fraction of a millisecond. By itself V8 waits until 64 MB of it stand there, and then goes through the whole heap: that cost
 * as much as the decryption that it was for. Of each thread.
 */
export function madeForAMoment(byteLength: number): void {
  bytes += byteLength;
  if (bytes < STEP_BYTES) return;
  bytes = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

/** The function that `node --expose-gc` shows, which a thread cannot be started with. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
