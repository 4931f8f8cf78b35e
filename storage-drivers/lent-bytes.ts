import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ObjectBody, Sha256Hex } from './driver.ts';

/** Bytes in memory that will be used again, once nobody can be sending from it any more. */
export class LentBytes {
  readonly #bytes: Uint8Array;
  #sha256: Sha256Hex | undefined;
  readonly #bodies: { readings: number }[] = [];

  /** `sha256`: of these bytes, where it is known already. */
  constructor(bytes: Uint8Array, sha256?: Sha256Hex) {
    this.#bytes = bytes;
    this.#sha256 = sha256;
  }

  /** For one put, which is awaited. */
  body(): ObjectBody {
    const one = { readings: 0 };
    this.#bodies.push(one);
    const read = (): Uint8Array => {
      one.readings += 1;
      return this.#bytes;
    };
    return {
      size: this.#bytes.byteLength,
      sha256: () => Promise.resolve((this.#sha256 ??= hashOf(this.#bytes))),
      path: undefined,
      bytes: read,
      open: () => Readable.from([read()], { objectMode: false }),
    };
  }

  /**
   * When every store has answered, be it that the key is taken: whether each did so at the first attempt. One that was given up
   * before may still be sending, and must not send what is written here next.
   */
  get isFree(): boolean {
    return this.#bodies.every(({ readings }) => readings <= 1);
  }
}

function hashOf(bytes: Uint8Array): Sha256Hex {
  return createHash('sha256').update(bytes).digest('hex') as Sha256Hex;
}
