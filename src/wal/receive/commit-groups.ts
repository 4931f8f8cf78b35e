/** A synchronous commit waits no longer than this for others. */
const LONGEST_MS = 20;
/** How long to wait for others, in writes: so far apart come commits that the server wrote one after the other to a disk like ours. */
const PATIENCE_WRITES = 2;
/** Of writes that take less on average nobody has to be spared one: a pause cannot be timed so finely. */
const LEAST_MS = 1;
/** How many writes the average is of. */
const AVERAGED = 32;
/** Others that are waited for one after the other before one write. */
const MOST_OTHERS = 3;
/** Of waits that were worth it: from here on they are made. */
const HOPEFUL = 2;
const CERTAIN = 3;
/** How fast the typical write follows: by so much, up or down, with each. */
const STEP = 1.05;

/**
 * Whether commits are written to the disk at once, or wait a moment for others that are about to come.
 *
 * Of sessions that are released together, the first to commit again has the server write for it alone and the others with the
 * next write, so that their WAL comes in two or three pieces, one write of the server apart. To write each of them costs a disk
 * that takes few writes twice the work, lets go the sessions apart, and keeps the server's writes small as well. So a write waits
 * where others came the last times that it stood like this: so many others had come already, and the disk had been idle
 * before or not. Where nobody came, as with one session alone, nothing waits, and neither where the disk is fast.
 */
export class CommitGroups {
  /** How often a wait was worth it, up to `CERTAIN`: after an idle disk and after a busy one, by how many others had come. */
  readonly #worth = { idle: new Array<number>(MOST_OTHERS).fill(0), busy: new Array<number>(MOST_OTHERS).fill(0) };
  /** Half of the writes take longer, half take less; a disk that stalls now and then does not move it far. */
  #typicalMs = 1;
  /** Where it stalls often, or takes few writes a second, this is what a write costs. */
  #averageMs = 0;
  #before: 'idle' | 'busy' = 'idle';
  #others = 0;
  #isDecided = false;

  /** How long what is there waits for others now; undefined: it is written. */
  get waitMs(): number | undefined {
    if (this.#averageMs < LEAST_MS) return undefined;
    if (this.#isDecided || (this.#worth[this.#before][this.#others] ?? 0) < HOPEFUL) return undefined;
    return Math.min(LONGEST_MS, PATIENCE_WRITES * this.#typicalMs);
  }

  /** It has waited; `came`: for others, who are there now. */
  waited(came: boolean): void {
    this.#learn(came);
    if (came) this.#others += 1;
    else this.#isDecided = true;
  }

  /** All that was there is on the disk; `came`: others came meanwhile, who would have been worth waiting for. */
  wrote(milliseconds: number, came: boolean): void {
    if (!this.#isDecided) this.#learn(came);
    this.#typicalMs *= milliseconds > this.#typicalMs ? STEP : 1 / STEP;
    this.#averageMs += (milliseconds - this.#averageMs) / AVERAGED;
    this.#before = came ? 'busy' : 'idle';
    this.#others = 0;
    this.#isDecided = false;
  }

  #learn(came: boolean): void {
    const worth = this.#worth[this.#before];
    const known = worth[this.#others];
    if (known !== undefined) worth[this.#others] = Math.min(CERTAIN, Math.max(0, known + (came ? 1 : -1)));
  }
}
