import { AsyncLocalStorage } from 'node:async_hooks';

/** What everything throws that a dead process still tries. */
export class Death extends Error {
  /** So that the product takes it for a failing disk, and not for a fault of its own. */
  readonly code = 'EIO';
}

const current = new AsyncLocalStorage<MortalProcess>();

/**
 * Stands for a process that is killed at a chosen step. A step is one lasting effect: a change or an fsync below a watched
 * directory, a change of a catalog, a put into a store. All that runs inside `run`, and all that it leaves running, belongs
 * to the process: from its death on each further step is refused, whoever tries it, so that what is still under way in
 * memory changes nothing any more.
 */
export class MortalProcess {
  readonly #diesAt: number;
  readonly #steps: string[] = [];
  #died = false;

  /** Dies instead of doing this step, from 1; by default it lives for ever. */
  constructor(diesAt = Number.POSITIVE_INFINITY) {
    this.#diesAt = diesAt;
  }

  /** The process that the code asking belongs to. */
  static get current(): MortalProcess | undefined {
    return current.getStore();
  }

  get died(): boolean {
    return this.#died;
  }

  /** What was done, and last what it died at. */
  get steps(): readonly string[] {
    return this.#steps;
  }

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    return current.run(this, work);
  }

  /** Call it before a lasting effect. `lastGasp` is what of the effect may happen all the same: half a write, say. */
  step(what: string, lastGasp: () => void = () => undefined): void {
    this.assertAlive();
    this.#steps.push(what);
    if (this.#steps.length < this.#diesAt) return;
    this.#died = true;
    lastGasp();
    this.assertAlive();
  }

  assertAlive(): void {
    if (this.#died) throw new Death(`the process died at step ${this.#steps.length}: ${this.#steps.at(-1) ?? ''}`);
  }
}
