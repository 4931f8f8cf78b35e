import { Readable } from 'node:stream';
import { WaldenError } from '../src/errors.ts';
import { withDeadline } from '../src/platform/deadline.ts';
import type { CallOptions, StorageDriver } from './driver.ts';
import { endingWith } from './exact-stream.ts';

/** How long one call may take, in milliseconds. */
export interface StoreDeadlines {
  /** stat, remove, the opening of a get or of a file, each step of a list, each chunk of a stream, each read of a file. */
  readonly answerMs: number;
  /** A put, besides the time that its bytes need at the slowest acceptable speed. */
  readonly putMs: number;
}

/** An upload that is slower than this, in bytes per millisecond, is taken for one that hangs. */
export const SLOWEST_UPLOAD = 128;

type Opening = NonNullable<StorageDriver['openFile']>;

/**
 * A store that hangs becomes STORAGE_UNAVAILABLE: no caller waits for ever. What is given up is also aborted, so that a
 * request that nobody waits for does not keep its connection.
 */
export function driverWithDeadlines(inner: StorageDriver, { answerMs, putMs }: StoreDeadlines): StorageDriver {
  const { openFile } = inner;
  const timedOpening =
    (openFile: Opening): Opening =>
    async (key, options) => {
      const opening = openFile(key, options);
      const file = await withDeadline(opening, answerMs, () => late(`open ${key}`)).catch((error: unknown) => {
        // Nobody will read what opens too late.
        opening.then((tooLate) => tooLate.close()).catch(() => undefined);
        throw error;
      });
      return { ...file, readDeadline: { ms: answerMs, late: () => late(`go on with ${key}`) } };
    };
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined ? {} : { openFile: timedOpening(openFile.bind(inner)) }),
    put: (key, body, options) =>
      within(putMs + body.size / SLOWEST_UPLOAD, `store ${key}`, options, (signal) =>
        inner.put(key, body, { ...options, signal }),
      ),
    async get(key, options): Promise<Readable> {
      const call = new AbortableCall(options?.signal);
      const opening = inner.get(key, { ...options, signal: call.signal });
      const stream = await withDeadline(opening, answerMs, () => late(`open ${key}`)).catch((error: unknown) => {
        call.giveUp();
        // Nobody will read what opens too late.
        opening.then((tooLate) => tooLate.destroy()).catch(() => undefined);
        throw error;
      });
      // The inner stream fails by itself when it ends early.
      const chunks = timed(stream as AsyncIterable<Uint8Array>, answerMs, `go on with ${key}`);
      const outer = endingWith(stream, Readable.from(chunks));
      outer.once('close', () => {
        call.end();
      });
      return outer;
    },
    stat: (key, options) =>
      within(answerMs, `answer about ${key}`, options, (signal) => inner.stat(key, { ...options, signal })),
    async *list(prefix, options) {
      const call = new AbortableCall(options?.signal);
      try {
        yield* timed(inner.list(prefix, { ...options, signal: call.signal }), answerMs, `list ${prefix}`);
      } finally {
        // Left early, ended or late: a page that is still on its way concerns nobody.
        call.giveUp();
      }
    },
    remove: (key, options) =>
      within(answerMs, `remove ${key}`, options, (signal) => inner.remove(key, { ...options, signal })),
    close: () => inner.close(),
  };
}

function late(what: string): WaldenError {
  return new WaldenError('STORAGE_UNAVAILABLE', `the repository did not ${what} in time`, {
    hint: 'check that the repository can be reached; Walden tries again by itself',
  });
}

async function within<Result>(
  milliseconds: number,
  what: string,
  options: CallOptions | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const call = new AbortableCall(options?.signal);
  try {
    return await withDeadline(work(call.signal), milliseconds, () => late(what));
  } catch (error) {
    call.giveUp();
    throw error;
  } finally {
    call.end();
  }
}

async function* timed<Item>(source: AsyncIterable<Item>, milliseconds: number, what: string): AsyncGenerator<Item> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await withDeadline(iterator.next(), milliseconds, () => late(what));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs would hang here too.
    iterator.return?.().catch(() => undefined);
  }
}

/** A signal of one call: it follows the caller's, and can be aborted by itself. */
class AbortableCall {
  readonly #own = new AbortController();
  readonly #callers: AbortSignal | undefined;
  readonly #follow = (): void => {
    this.#own.abort(this.#callers?.reason);
  };

  constructor(callers: AbortSignal | undefined) {
    this.#callers = callers;
    if (callers?.aborted === true) this.#follow();
    callers?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  giveUp(): void {
    this.#own.abort();
    this.end();
  }

  /** The caller's signal may live long: it must not keep what is over. */
  end(): void {
    this.#callers?.removeEventListener('abort', this.#follow);
  }
}
