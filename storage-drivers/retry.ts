import { WaldenError } from '../src/errors.ts';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import { mayHelp } from './may-help.ts';

/**
 * How long a store is given to come back. Waits double from `firstWaitMs` up to `longestWaitMs`; each is shortened by up
 * to half at random, so that those who failed together do not come back together.
 */
export interface RetryPolicy {
  /** After the first attempt. */
  readonly retries: number;
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

/**
 * Tries again what may succeed later: errors whose code is retryable, but for INTERRUPTED.
 * @throws the last error, or INTERRUPTED when the signal ended a wait
 */
export async function retry<Result>(
  work: () => Promise<Result>,
  policy: RetryPolicy,
  { clock = systemClock, signal }: { readonly clock?: Clock; readonly signal?: AbortSignal | undefined } = {},
): Promise<Result> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= policy.retries || !mayHelp(error)) throw error;
    }
    const wait = Math.min(policy.firstWaitMs * 2 ** attempt, policy.longestWaitMs) * (0.5 + Math.random() / 2);
    try {
      await clock.sleep(wait, signal);
    } catch (error) {
      throw new WaldenError('INTERRUPTED', 'gave up to wait for the repository', { cause: error });
    }
  }
}
