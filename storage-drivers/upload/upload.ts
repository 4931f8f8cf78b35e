import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { BodyReader } from './body-reader.ts';
import type { Algorithm, Digests } from './digests.ts';
import type { UploadMemory } from './upload-memory.ts';

/**
 * For stores that are sent requests: a body is sent from memory, whole or in parts, and how much memory is bounded. A body
 * that is in memory already is sent from there.
 */

/** One piece of a body, in memory. */
export interface Piece {
  readonly length: number;
  /** Of this piece alone, as asked for. */
  readonly digests: Digests;
  /** For one attempt to send it: whoever asks again may hold it while the first still does. */
  readonly bytes: () => Buffer;
}

export interface Part extends Piece {
  /** From 1. */
  readonly number: number;
  /** In the body, in bytes. */
  readonly offset: number;
  readonly isLast: boolean;
  /** Of the whole body, as asked for: with the last part. */
  readonly whole: Digests;
}

interface Upload {
  readonly memory: UploadMemory;
  readonly signal?: AbortSignal | undefined;
}

interface PartsUpload extends Upload {
  readonly partBytes: number;
  readonly concurrency: number;
  /** To be told with each part. */
  readonly digests?: readonly Algorithm[];
  readonly wholeDigests?: readonly Algorithm[];
}

/**
 * The whole body in one piece. `send` is told its SHA-256 and the other digests that are asked for.
 * @throws STORAGE_SIZE when it gave other bytes than it promised: nothing was sent
 */
export async function sendWhole<Result>(
  body: ObjectBody,
  { memory, signal, digests = [] }: Upload & { readonly digests?: readonly Algorithm[] },
  send: (piece: Piece & { readonly digests: { readonly sha256: string } }) => Promise<Result>,
): Promise<Result> {
  const allotment = await memory.take(body.size);
  let piece: Lent | undefined;
  let isSent = false;
  try {
    assertNotAborted(signal);
    const source = new BodyReader(body, { whole: digests });
    try {
      const bytes = await source.read(body.size, allotment);
      await source.assertEnd();
      await source.digestsOf(bytes);
      piece = new Lent(bytes);
      const whole = await source.finish();
      const result = await send({ length: bytes.length, digests: whole, bytes: piece.bytes });
      isSent = true;
      return result;
    } finally {
      source.close();
    }
  } finally {
    allotment.release(isSent && piece?.isFree === true);
  }
}

/**
 * The body in parts of `partBytes`, the last of which may be shorter, several of them on their way at a time. `send` is
 * called in the order of the parts, is awaited before this returns or throws, and tries again by itself. The last part is
 * sent only after the whole body has turned out to be what it promised.
 * @throws STORAGE_SIZE when it is not; the first error of `send`; INTERRUPTED. What was sent must be given up then.
 */
export async function sendInParts(
  body: ObjectBody,
  { memory, signal, partBytes, concurrency, digests = [], wholeDigests = [] }: PartsUpload,
  send: (part: Part) => Promise<void>,
): Promise<void> {
  const source = new BodyReader(body, { whole: wholeDigests, each: digests });
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for (let number = 1, offset = 0; offset < body.size && failures.length === 0; number += 1) {
      while (underWay.size >= concurrency) await Promise.race(underWay);
      const length = Math.min(partBytes, body.size - offset);
      const allotment = await memory.take(length);
      let bytes: Buffer;
      const isLast = offset + length === body.size;
      try {
        assertNotAborted(signal);
        bytes = await source.read(length, allotment);
        if (isLast) await source.assertEnd();
      } catch (error) {
        allotment.release(false);
        throw error;
      }
      const place = { number, offset, length, isLast };
      const piece = new Lent(bytes);
      // While it is hashed, the next one is read: the digests come in the order of the parts.
      const sending = source
        .digestsOf(bytes)
        .then(async (own) => {
          const whole = isLast ? await source.finish() : {};
          if (failures.length === 0) await send({ ...place, digests: own, whole, bytes: piece.bytes });
          allotment.release(piece.isFree);
        })
        .catch((error: unknown) => {
          failures.push(error);
          allotment.release(false);
        })
        .finally(() => {
          underWay.delete(sending);
        });
      underWay.add(sending);
      offset += length;
    }
  } finally {
    await Promise.all(underWay);
    source.close();
  }
  if (failures.length > 0) throw failures[0];
}

/** Memory that is used again once it was sent, unless an attempt that failed may still be sending from it. */
class Lent {
  readonly #bytes: Buffer;
  #readings = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  readonly bytes = (): Buffer => {
    this.#readings += 1;
    return this.#bytes;
  };

  get isFree(): boolean {
    return this.#readings <= 1;
  }
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new WaldenError('INTERRUPTED', 'gave up to store', { cause: signal.reason });
}
