import { Readable } from 'node:stream';
import type { GetOptions, ObjectKey, StorageDriver } from './driver.ts';
import { endingWith } from './exact-stream.ts';
import { mayHelp } from './may-help.ts';

/** So often in a row a download is taken up again without bringing anything new. */
const VAIN_ATTEMPTS = 3;

/**
 * Goes on where a download or a listing was cut off, instead of from the beginning: of gigabytes over a network the last
 * ones would else never come. What a resumed download gives is of one object, since those that are long are never replaced.
 * Put this around the retries, which wait before each attempt; a store whose objects are files of this host needs it for
 * listings alone.
 */
export function driverWithResumption(inner: StorageDriver): StorageDriver {
  const openFile = inner.openFile?.bind(inner);
  return {
    type: inner.type,
    features: inner.features,
    ...(openFile === undefined ? {} : { openFile }),
    put: (key, body, options) => inner.put(key, body, options),
    async get(key, options = {}) {
      const first = await inner.get(key, options);
      if (openFile !== undefined) return first;
      return endingWith(first, Readable.from(resumed(inner, key, options, first)));
    },
    stat: (key, options) => inner.stat(key, options),
    async *list(prefix, options = {}) {
      let after = options.after;
      for (;;) {
        const from = after;
        try {
          for await (const info of inner.list(prefix, { ...options, after })) {
            after = info.key;
            yield info;
          }
          return;
        } catch (error) {
          // Where nothing came, the retries have done what they could.
          if (after === from || !mayHelp(error)) throw error;
        }
      }
    },
    remove: (key, options) => inner.remove(key, options),
    close: () => inner.close(),
  };
}

async function* resumed(
  inner: StorageDriver,
  key: ObjectKey,
  { offset = 0, length, signal }: GetOptions,
  first: Readable,
): AsyncGenerator<Uint8Array, void, undefined> {
  let done = 0;
  for (let stream = first, attempts = new VainAttempts(); ;) {
    try {
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        done += chunk.byteLength;
        attempts.forget();
        yield chunk;
      }
      return;
    } catch (error) {
      attempts.countOrThrow(error);
    }
    // All of it came before the connection was lost.
    if (done === length) return;
    const rest = { offset: offset + done, ...(length === undefined ? {} : { length: length - done }) };
    stream = await inner.get(key, { ...rest, signal });
  }
}

class VainAttempts {
  #count = 0;

  /** Something new came. */
  forget(): void {
    this.#count = 0;
  }

  countOrThrow(error: unknown): void {
    this.#count += 1;
    if (this.#count > VAIN_ATTEMPTS || !mayHelp(error)) throw error;
  }
}
