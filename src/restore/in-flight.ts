import { isWaldenError, WaldenError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { StoredBackup } from '../repository/backup-record.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupSources } from './backup-sources.ts';

const ATTEMPTS = 3;
const RETRY_AFTER_MS = 500;

/** A backup, and where it can be read from. */
export interface BackupToRead {
  readonly backup: StoredBackup;
  readonly sources: BackupSources;
}

export interface WriteTools {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** After each batch: plain bytes and files that became durable. */
  readonly onWritten: (bytes: number, files: number) => void;
}

/**
 * Works on what `items` gives, `parallel` at a time, and ends all of it with the first failure, which is the one thrown.
 * @throws also INTERRUPTED
 */
export async function workInFlight<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  parallel: number,
  outer: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([outer, stop.signal]);
  const iterator = iteratorOf(items);
  const run = async (): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      // Several runners share one generator: it hands out each item once, in order.
      const next = await iterator.next();
      if (next.done === true) return;
      await work(next.value, signal);
    }
  };
  const runners = Array.from({ length: Math.max(1, parallel) }, () =>
    run().catch((error: unknown) => {
      // The first failure is the one to tell; the others are only its echo.
      if (!stop.signal.aborted) stop.abort(error);
    }),
  );
  await Promise.all(runners);
  await iterator.return?.();
  if (outer.aborted) throw interrupted(outer);
  if (stop.signal.aborted) throw stop.signal.reason;
}

function iteratorOf<Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncIterator<Item> | Iterator<Item> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}

/** Reads a part of a backup: again where that may help, and from the next repository that has it where it does not. */
export async function readAgain<Result>(
  { sources }: BackupToRead,
  { clock, signal }: Pick<WriteTools, 'clock' | 'signal'>,
  /** `again`: an attempt before may have written something. */
  read: (repository: Repository, again: boolean) => Promise<Result>,
): Promise<Result> {
  let attempts = 0;
  return await sources.firstOf(signal, async (repository) => {
    for (let attempt = 1; ; attempt += 1) {
      attempts += 1;
      try {
        return await read(repository, attempts > 1);
      } catch (error) {
        const again = attempt < ATTEMPTS && isWaldenError(error, 'STORAGE_UNAVAILABLE', 'STORAGE_SIZE');
        if (!again || signal.aborted) throw error;
        await clock.sleep(RETRY_AFTER_MS * attempt, signal);
      }
    }
  });
}

export function interrupted(signal: AbortSignal): WaldenError {
  const reason: unknown = signal.reason;
  return isWaldenError(reason)
    ? reason
    : new WaldenError('INTERRUPTED', 'the restore was interrupted', { cause: reason });
}
