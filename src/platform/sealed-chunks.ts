import { createCipheriv, createDecipheriv } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import { madeForAMoment } from './collector.ts';

/**
 * Bytes in chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under its number and whether it is the last one: so none can be
 * changed, moved, left out or added unnoticed (age's STREAM). Only what is empty has an empty chunk.
 */

export const CHUNK_BYTES = 64 * 1024;
export const TAG_BYTES = 16;
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

const CIPHER = 'chacha20-poly1305';
const NUMBER_OFFSET = 5;
const NUMBER_BYTES = 6;
const LAST_OFFSET = 11;

export type PayloadKey = Buffer & { readonly __payloadKey: unique symbol };

/** Chunks that hold a range, and how it is cut out of them. Can be sent to a worker. */
export interface SealedPart {
  readonly key: Uint8Array;
  readonly firstChunk: number;
  /** Of the whole object. */
  readonly chunks: number;
  /** What is before the range in its first chunk. */
  readonly skip: number;
  /** Length of the range. */
  readonly plainBytes: number;
}

/** Opens the chunks of a range, one after the other. */
export class RangeOpener {
  readonly #part: SealedPart;
  readonly #what: string;
  #number: number;
  #skip: number;
  #left: number;

  /** `what` names the object in errors. */
  constructor(part: SealedPart, what: string) {
    this.#part = part;
    this.#what = what;
    this.#number = part.firstChunk;
    this.#skip = part.skip;
    this.#left = part.plainBytes;
  }

  /** What the next chunk has of the range. @throws CHECKSUM_MISMATCH */
  open(sealed: Uint8Array): Buffer {
    const place = { number: this.#number, isLast: this.#number === this.#part.chunks - 1 };
    const plain = openChunk(this.#part.key, sealed, place, this.#what);
    const part = plain.subarray(this.#skip, this.#skip + this.#left);
    this.#number += 1;
    this.#skip = 0;
    this.#left -= part.byteLength;
    return part;
  }
}

/** Of a part that is in memory as a whole. @throws CHECKSUM_MISMATCH */
export function openPart(sealed: Uint8Array, part: SealedPart, what: string): Buffer {
  const opener = new RangeOpener(part, what);
  const pieces: Buffer[] = [];
  for (let at = 0; at < sealed.byteLength; at += SEALED_CHUNK_BYTES) {
    pieces.push(opener.open(sealed.subarray(at, at + SEALED_CHUNK_BYTES)));
  }
  return Buffer.concat(pieces);
}

/** Position of one chunk. */
export interface ChunkPlace {
  /** From 0. */
  readonly number: number;
  readonly isLast: boolean;
}

/** The sealed chunk and its tag: to be written one after the other. */
export function sealChunk(key: Uint8Array, plain: Uint8Array, place: ChunkPlace): readonly [Buffer, Buffer] {
  const cipher = createCipheriv(CIPHER, key, nonceOf(place), { authTagLength: TAG_BYTES });
  const sealed = cipher.update(plain);
  madeForAMoment(sealed.byteLength);
  cipher.final();
  return [sealed, cipher.getAuthTag()];
}

/** @throws CHECKSUM_MISMATCH */
export function openChunk(key: Uint8Array, sealed: Uint8Array, place: ChunkPlace, what: string): Buffer {
  const bytes = sealed.byteLength - TAG_BYTES;
  if (bytes < 0 || (bytes === 0 && place.number > 0)) throw damaged(what, place);
  const decipher = createDecipheriv(CIPHER, key, nonceOf(place), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(bytes));
  const plain = decipher.update(sealed.subarray(0, bytes));
  madeForAMoment(bytes);
  try {
    decipher.final();
  } catch (cause) {
    throw damaged(what, place, cause);
  }
  return plain;
}

function damaged(what: string, { number }: ChunkPlace, cause?: unknown): WaldenError {
  const from = number * CHUNK_BYTES;
  return new WaldenError(
    'CHECKSUM_MISMATCH',
    `${what} is damaged, cut off or exchanged: byte ${from} cannot be decrypted`,
    {
      cause,
    },
  );
}

function nonceOf({ number, isLast }: ChunkPlace): Buffer {
  const nonce = Buffer.alloc(LAST_OFFSET + 1);
  nonce.writeUIntBE(number, NUMBER_OFFSET, NUMBER_BYTES);
  nonce[LAST_OFFSET] = isLast ? 1 : 0;
  return nonce;
}
