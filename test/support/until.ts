import { setTimeout as delay } from 'node:timers/promises';

/** Below that of a test. */
const DEADLINE_MS = 200_000;

export interface UntilOptions {
  /** What is waited for; the error says it. */
  readonly what: string;
  /** 200 s unless told: only for what never comes, since a machine that is busy with other things must fail no test. */
  readonly deadlineMs?: number;
  /** Between two looks; 50 ms by default. */
  readonly everyMs?: number;
  /** Added to the error when the deadline has passed: the log of what was waited for, say. */
  readonly explain?: () => string | Promise<string>;
}

/**
 * Looks again and again until `condition` gives something other than undefined or false, and returns that. An exception
 * of `condition` ends the waiting: a condition that may fail for a while says so by returning undefined.
 */
export async function until<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  options: UntilOptions,
): Promise<T> {
  const { deadlineMs = DEADLINE_MS } = options;
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    if (Date.now() >= deadline) {
      const explanation = options.explain === undefined ? '' : `\n${await options.explain()}`;
      throw new Error(`waited ${deadlineMs} ms in vain for ${options.what}${explanation}`);
    }
    await delay(options.everyMs ?? 50);
  }
}

/** The promise's value, or an error that names `what` once the deadline has passed. */
export async function within<T>(promise: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  const stop = new AbortController();
  const late = delay(deadlineMs, undefined, { signal: stop.signal, ref: false }).then(() => {
    throw new Error(`${what} took longer than ${deadlineMs} ms`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    // The abandoned timer rejects with the abort; nobody waits for it any more.
    late.catch(() => undefined);
  }
}
