import PQueue from 'p-queue';
import { toWaldenError } from '../errors.ts';

/**
 * Works on `items` as they come, some at once, and reads on only as fast as the work is done. The first failure ends it.
 */
export async function inParallel<T>(
  items: AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = new PQueue({ concurrency });
  let failure: unknown;
  let failed = false;
  for await (const item of items) {
    if (failed) break;
    void queue.add(async () => {
      try {
        await work(item);
      } catch (error) {
        failure ??= error;
        failed = true;
        queue.clear();
      }
    });
    await queue.onSizeLessThan(concurrency);
  }
  await queue.onIdle();
  if (failed) throw toWaldenError(failure);
}
