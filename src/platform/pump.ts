import type { Clock } from './clock.ts';

/** How long it rests when there was nothing to do: what woke nobody is noticed then. */
const REST_MS = 30_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * Does one kind of work over and over: at once when it is woken, now and then in any case, and after a failure again, with
 * pauses that grow. Failures are told to `failed`, and never end it.
 */
export class Pump {
  readonly #work: (signal: AbortSignal) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #rest = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    work: (signal: AbortSignal) => Promise<void>,
    { failed, clock }: { readonly failed: (error: unknown) => void; readonly clock: Clock },
  ) {
    this.#work = work;
    this.#failed = failed;
    this.#clock = clock;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  wake(): void {
    this.#rest.abort();
  }

  /** Ends the work under way, and waits until it has. */
  async stop(reason: Error): Promise<void> {
    this.#stop.abort(reason);
    this.#rest.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !this.#isStopped();) {
      const rest = new AbortController();
      this.#rest = rest;
      try {
        await this.#work(signal);
        failures = 0;
      } catch (error) {
        if (this.#isStopped()) return;
        failures += 1;
        this.#failed(error);
      }
      if (failures === 0) await this.#pause(REST_MS, rest.signal);
      else await this.#pause(waitAfter(failures), signal);
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Ends early when it is woken, or stopped. */
  async #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(milliseconds, signal).catch(() => undefined);
  }
}

/** With jitter, so that what failed together does not come again together. */
function waitAfter(failures: number): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
  return longest * (0.5 + Math.random() / 2);
}
