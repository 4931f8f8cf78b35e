import PQueue from 'p-queue';
import { toWaldenError } from '../errors.ts';

/**
 * Works on `items` as they come, some at once, and reads on only as fast as the work is done. The first failure ends it.
 */
export async function inParallel<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = new PQueue({ concurrency });
  const failures: unknown[] = [];
  for await (const item of items) {
    if (failures.length > 0) break;
    void queue.add(async () => {
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
        queue.clear();
      }
    });
    await queue.onSizeLessThan(concurrency);
  }
  await queue.onIdle();
  if (failures.length > 0) throw toWaldenError(failures[0]);
}
