import { WaldenError } from '../../src/errors.ts';
import { chunked } from './chunked.ts';
import { chunksIn, HEAD_BYTES, plainSize } from './payload.ts';
import {
  CHUNK_BYTES,
  openChunk,
  type PayloadKey,
  RangeOpener,
  SEALED_CHUNK_BYTES,
  type SealedPart,
} from '../../src/platform/sealed-chunks.ts';

/** Where the sealed chunks stand that hold a range of an object, and how the range is cut out of them. */
export interface SealedRange extends Omit<SealedPart, 'key'> {
  /** In the store. */
  readonly offset: number;
  readonly length: number;
}

/** @throws STORAGE_SIZE when the object ends before the range does, CHECKSUM_MISMATCH when it is cut off in its head */
export function sealedRange(
  sealedBytes: number,
  { offset = 0, length }: { readonly offset?: number | undefined; readonly length?: number | undefined },
  what: string,
): SealedRange {
  if (sealedBytes < HEAD_BYTES)
    throw new WaldenError('CHECKSUM_MISMATCH', `${what} is cut off: it has no whole header`);
  const size = plainSize(sealedBytes);
  const plainBytes = length ?? Math.max(0, size - offset);
  if (offset + plainBytes > size) {
    throw new WaldenError('STORAGE_SIZE', `${what} has ${size} bytes, wanted were ${plainBytes} from ${offset}`);
  }
  const firstChunk = Math.floor(offset / CHUNK_BYTES);
  const endChunk = Math.floor((offset + Math.max(1, plainBytes) - 1) / CHUNK_BYTES) + 1;
  const from = HEAD_BYTES + firstChunk * SEALED_CHUNK_BYTES;
  const to = Math.min(HEAD_BYTES + endChunk * SEALED_CHUNK_BYTES, sealedBytes);
  const skip = offset - firstChunk * CHUNK_BYTES;
  return { firstChunk, chunks: chunksIn(sealedBytes), offset: from, length: to - from, skip, plainBytes };
}

/** The bytes of the range out of its sealed chunks. @throws CHECKSUM_MISMATCH */
export async function* openRange(
  source: AsyncIterable<Uint8Array>,
  part: SealedPart,
  what: string,
): AsyncGenerator<Buffer, void, undefined> {
  const opener = new RangeOpener(part, what);
  for await (const { piece } of chunked(source, SEALED_CHUNK_BYTES)) {
    const plain = opener.open(piece);
    if (plain.byteLength > 0) yield plain;
  }
}

/** All of an object, of which the size is not known before its end. @throws CHECKSUM_MISMATCH */
export async function* openWhole(
  source: AsyncIterable<Uint8Array>,
  key: PayloadKey,
  what: string,
): AsyncGenerator<Buffer, void, undefined> {
  let number = 0;
  for await (const { piece, isLast } of chunked(source, SEALED_CHUNK_BYTES)) {
    const plain = openChunk(key, piece, { number, isLast }, what);
    number += 1;
    if (plain.byteLength > 0) yield plain;
  }
}
