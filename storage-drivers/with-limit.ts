import { Readable } from 'node:stream';
import { type Clock, systemClock } from '../src/platform/clock.ts';
import type { ObjectBody, StorageDriver } from './driver.ts';
import { endingWith } from './exact-stream.ts';

/** Bytes per second; undefined: as fast as it goes. */
export interface BandwidthLimits {
  readonly uploadBytesPerSecond?: number | undefined;
  readonly downloadBytesPerSecond?: number | undefined;
}

/**
 * Lets no more through than this, all transfers of the store together. Objects are streams then, even where they are files
 * of this host. Put this around the deadlines: a chunk that waits for its turn is not late.
 */
export function driverWithLimits(
  inner: StorageDriver,
  { uploadBytesPerSecond, downloadBytesPerSecond }: BandwidthLimits,
  clock: Clock = systemClock,
): StorageDriver {
  if (uploadBytesPerSecond === undefined && downloadBytesPerSecond === undefined) return inner;
  const up = uploadBytesPerSecond === undefined ? undefined : new Bandwidth(uploadBytesPerSecond, clock);
  const down = downloadBytesPerSecond === undefined ? undefined : new Bandwidth(downloadBytesPerSecond, clock);
  const limitedBody = (body: ObjectBody, bandwidth: Bandwidth, signal: AbortSignal | undefined): ObjectBody => ({
    size: body.size,
    sha256: body.sha256,
    path: undefined,
    open: () => limited(body.open(), bandwidth, signal),
  });
  return {
    type: inner.type,
    features: inner.features,
    put: (key, body, options) =>
      inner.put(key, up === undefined ? body : limitedBody(body, up, options.signal), options),
    async get(key, options) {
      const stream = await inner.get(key, options);
      return down === undefined ? stream : limited(stream, down, options?.signal);
    },
    stat: (key, options) => inner.stat(key, options),
    list: (prefix, options) => inner.list(prefix, options),
    remove: (key, options) => inner.remove(key, options),
    close: () => inner.close(),
  };
}

function limited(source: Readable, bandwidth: Bandwidth, signal: AbortSignal | undefined): Readable {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      await bandwidth.take(chunk.byteLength, signal);
      yield chunk;
    }
  }
  return endingWith(source, Readable.from(chunks()));
}

/** Whoever takes first goes first; each begins when what was taken before has had its time. */
class Bandwidth {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #free = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const now = this.#clock.now().getTime();
    const start = Math.max(now, this.#free);
    this.#free = start + (bytes / this.#bytesPerSecond) * 1000;
    if (start > now) await this.#clock.sleep(start - now, signal);
  }
}
