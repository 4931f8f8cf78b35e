/**
 * What a worker that reads a file and the thread that waits for it tell each other, in shared memory: the worker hears
 * nothing else while it works, and a read that hangs in the kernel cannot be ended.
 *
 * So a read that takes too long is given up by both in one atomic step: whoever waited goes on only when the worker is sure
 * to do nothing with what that read brings, should it ever end. Else a forgotten worker would write into a file which
 * others believe to be finished, perhaps long after.
 */
export type ReadingCells = Int32Array<SharedArrayBuffer>;

/** Holds the number of the read that is under way (from 1), or one of the others. */
const READ = 0;
const NO_READ = 0;
const GIVEN_UP = -1;
/** Not 0 when the worker is to end before its next read. */
const STOP = 1;

export function createReadingCells(): ReadingCells {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** By the worker. False when it is to end. */
export function beginRead(cells: ReadingCells, number: number): boolean {
  return Atomics.load(cells, STOP) === 0 && Atomics.compareExchange(cells, READ, NO_READ, number) === NO_READ;
}

/** By the worker. False when the read was given up: what it brought is nobody's. */
export function endRead(cells: ReadingCells, number: number): boolean {
  return Atomics.compareExchange(cells, READ, number, NO_READ) === number;
}

export interface ReadingLimits {
  readonly signal?: AbortSignal | undefined;
  /** For one read. */
  readonly deadline?: { readonly ms: number; readonly late: () => Error } | undefined;
}

/**
 * The outcome of the work of a worker that reads. After an abort the worker ends before its next read. When one read takes
 * longer than its deadline (at most twice as long), `late()` is thrown, and the work does nothing more but to end.
 */
export async function whileReading<Result>(
  cells: ReadingCells,
  work: Promise<Result>,
  { signal, deadline }: ReadingLimits,
): Promise<Result> {
  const stop = (): void => {
    Atomics.store(cells, STOP, 1);
  };
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    if (deadline === undefined) return;
    let seen = NO_READ;
    timer = setInterval(() => {
      const read = Atomics.load(cells, READ);
      const hangs = read > NO_READ && read === seen;
      seen = read;
      if (hangs && Atomics.compareExchange(cells, READ, read, GIVEN_UP) === read) reject(deadline.late());
    }, deadline.ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', stop);
  }
}
