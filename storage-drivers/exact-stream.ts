import { Readable } from 'node:stream';
import { WaldenError } from '../src/errors.ts';
import { madeForAMoment } from '../src/platform/collector.ts';

/**
 * A stream of exactly `length` bytes of `source`: it fails with STORAGE_SIZE rather than end early, and with INTERRUPTED
 * when the signal aborts. `translate` gives the source's own errors their code.
 */
export function exactly(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  length: number,
  what: string,
  translate: (error: unknown) => unknown = (error) => error,
  signal?: AbortSignal,
): Readable {
  const stream = Readable.from(counted(source, length, what, translate, signal));
  return source instanceof Readable ? endingWith(source, stream) : stream;
}

/**
 * `outer`, which reads `inner`: whenever it closes, `inner` does. A generator that was never begun ends without its
 * `finally`, so a stream that is given up unread would else keep its source open for ever.
 */
export function endingWith(inner: Readable, outer: Readable): Readable {
  // Who reads is told what goes wrong, also when it went wrong before. Until somebody does, and after it was given up, an
  // error would have no listener, which ends the process.
  inner.on('error', () => undefined);
  outer.once('close', () => {
    inner.destroy();
  });
  return outer;
}

async function* counted(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  length: number,
  what: string,
  translate: (error: unknown) => unknown,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of source) {
      if (signal?.aborted === true) {
        throw new WaldenError('INTERRUPTED', `gave up to read ${what}`, { cause: signal.reason });
      }
      bytes += chunk.byteLength;
      madeForAMoment(chunk.byteLength);
      yield chunk;
    }
  } catch (error) {
    throw translate(error);
  }
  if (bytes !== length) throw new WaldenError('STORAGE_SIZE', `${what} gave ${bytes} bytes instead of ${length}`);
}
