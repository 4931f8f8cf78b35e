import { isWaldenError, type WaldenError } from '../errors.ts';
import type { ObservedCall } from '../../storage-drivers/with-observer.ts';
import { type Clock, systemClock } from '../platform/clock.ts';

/** A failure that is older says nothing about now. */
const REMEMBERED_MS = 60_000;
/** How much one call moves the measured latency. */
const WEIGHT = 0.2;
/** Of so many calls the fastest says how far a store is: the others may have waited for this host. */
const JUDGED_CALLS = 5;
/** Upper bounds of what counts as equally near, in milliseconds: this host, this site, this continent. */
const NEARNESS_MS = [20, 100, 500] as const;

/** The store answers, but nothing in it can be read or stored. */
const KEYS_FAIL = ['KEY_MISSING', 'KEY_REFUSED'] as const;

export interface StoreFailure {
  readonly error: WaldenError;
  readonly since: Date;
}

/** What the calls to one store have shown of it: whether it answers, and how soon. */
export class StoreHealth {
  readonly #clock: Clock;
  #failure: (StoreFailure & { readonly lastAt: Date }) | undefined;
  #latencyMs: number | undefined;
  /** What the last calls took, in milliseconds. */
  #lastCalls: readonly number[] = [];
  #listener: (call: ObservedCall) => void = () => undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Why it cannot be used, as far as is known; undefined: it answered, or nobody asked for a while. */
  get failure(): StoreFailure | undefined {
    if (this.#failure === undefined) return undefined;
    const age = Math.abs(this.#clock.now().getTime() - this.#failure.lastAt.getTime());
    return age > REMEMBERED_MS ? undefined : this.#failure;
  }

  /** The same however long ago: until it answers again, nobody knows better. */
  get lastFailure(): StoreFailure | undefined {
    return this.#failure;
  }

  /** `listener` is told of each call from now on; there is one. */
  listen(listener: (call: ObservedCall) => void): void {
    this.#listener = listener;
  }

  /** Until the first byte, smoothed; undefined before the first call. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /**
   * 0 for the nearest; what was not measured counts as near, so that the configured order decides. On a busy host some calls
   * are slow to any store, and the first ones of a process to all of them.
   */
  get nearness(): number {
    const distanceMs = this.#lastCalls.length < JUDGED_CALLS ? 0 : Math.min(...this.#lastCalls);
    const found = NEARNESS_MS.findIndex((bound) => distanceMs < bound);
    return found < 0 ? NEARNESS_MS.length : found;
  }

  readonly observe = (call: ObservedCall): void => {
    this.#listener(call);
    const { operation, milliseconds, error } = call;
    // What needs no key says nothing about keys.
    const usedKeys = error === undefined && operation !== 'stat' && operation !== 'list' && operation !== 'remove';
    if (error !== undefined && isWaldenError(error, 'STORAGE_UNAVAILABLE', 'STORAGE_DENIED', ...KEYS_FAIL)) {
      const now = this.#clock.now();
      this.#failure = { error, since: this.failure?.since ?? now, lastAt: now };
      return;
    }
    // Interrupted: whether the store would have answered is not known.
    if (isWaldenError(error, 'INTERRUPTED')) return;
    if (usedKeys || !isWaldenError(this.#failure?.error, ...KEYS_FAIL)) this.#failure = undefined;
    if (operation === 'put' || operation === 'remove' || operation === 'list') return;
    const before = this.#latencyMs ?? milliseconds;
    this.#latencyMs = before * (1 - WEIGHT) + milliseconds * WEIGHT;
    this.#lastCalls = [...this.#lastCalls, milliseconds].slice(-JUDGED_CALLS);
  };
}
