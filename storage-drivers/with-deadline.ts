import { Readable } from 'node:stream';
import { WaldenError } from '../src/errors.ts';
import { withDeadline } from '../src/platform/deadline.ts';
import type { StorageDriver } from './driver.ts';
import { endingWith } from './exact-stream.ts';

/** How long one call may take, in milliseconds. */
export interface StoreDeadlines {
  /** stat, remove, the opening of a get or of a file, each step of a list, each chunk of a stream, each read of a file. */
  readonly answerMs: number;
  /** A put, whatever its size. */
  readonly putMs: number;
}

type Opening = NonNullable<StorageDriver['openFile']>;

/** A store that hangs becomes STORAGE_UNAVAILABLE: no caller waits for ever. */
export function driverWithDeadlines(inner: StorageDriver, { answerMs, putMs }: StoreDeadlines): StorageDriver {
  const late = (what: string): WaldenError =>
    new WaldenError('STORAGE_UNAVAILABLE', `the repository did not ${what} in time`, {
      hint: 'check that the repository can be reached; Walden tries again by itself',
    });
  const answer = <Result>(work: Promise<Result>, what: string): Promise<Result> =>
    withDeadline(work, answerMs, () => late(what));
  async function* timed<Item>(source: AsyncIterable<Item>, what: string): AsyncGenerator<Item> {
    const iterator = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await answer(iterator.next(), what);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // Not awaited: a source that hangs would hang here too.
      iterator.return?.().catch(() => undefined);
    }
  }
  const { openFile } = inner;
  const timedOpening =
    (openFile: Opening): Opening =>
    async (key, options) => {
      const opening = openFile(key, options);
      const file = await answer(opening, `open ${key}`).catch((error: unknown) => {
        // Nobody will read what opens too late.
        opening.then((late) => late.close()).catch(() => undefined);
        throw error;
      });
      return { ...file, readDeadline: { ms: answerMs, late: () => late(`go on with ${key}`) } };
    };
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined ? {} : { openFile: timedOpening(openFile.bind(inner)) }),
    put: (key, body, options) => withDeadline(inner.put(key, body, options), putMs, () => late(`store ${key}`)),
    async get(key, options): Promise<Readable> {
      const opening = inner.get(key, options);
      const stream = await answer(opening, `open ${key}`).catch((error: unknown) => {
        // Nobody will read what opens too late.
        opening.then((late) => late.destroy()).catch(() => undefined);
        throw error;
      });
      // The inner stream fails by itself when it ends early.
      const outer = Readable.from(timed(stream as AsyncIterable<Uint8Array>, `go on with ${key}`), {
        objectMode: false,
      });
      return endingWith(stream, outer);
    },
    stat: (key, options) => answer(inner.stat(key, options), `answer about ${key}`),
    list: (prefix, options) => timed(inner.list(prefix, options), `list ${prefix}`),
    remove: (key, options) => answer(inner.remove(key, options), `remove ${key}`),
    close: () => inner.close(),
  };
}
