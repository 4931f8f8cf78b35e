import { toWaldenError } from '../src/errors.ts';

/** Whether the same call may succeed when it is made again. */
export function mayHelp(error: unknown): boolean {
  const failure = toWaldenError(error);
  return failure.retryable && failure.code !== 'INTERRUPTED';
}
