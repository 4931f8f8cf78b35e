import { hkdfSync } from 'node:crypto';
import { CHUNK_BYTES, type PayloadKey, SEALED_CHUNK_BYTES, TAG_BYTES } from '../../src/platform/sealed-chunks.ts';
import { type FileKey, HEADER_BYTES } from './header.ts';

/** What follows the header: a nonce, then the sealed chunks. */

export const NONCE_BYTES = 16;
/** Where the first chunk begins. */
export const HEAD_BYTES = HEADER_BYTES + NONCE_BYTES;

export function payloadKey(fileKey: FileKey, nonce: Uint8Array): PayloadKey {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)) as PayloadKey;
}

/** Size of the object that holds so many bytes. */
export function sealedSize(plainBytes: number): number {
  return HEAD_BYTES + plainBytes + TAG_BYTES * Math.max(1, Math.ceil(plainBytes / CHUNK_BYTES));
}

/** Number of chunks in an object of this size, which may be damaged. */
export function chunksIn(sealedBytes: number): number {
  return Math.max(1, Math.ceil((sealedBytes - HEAD_BYTES) / SEALED_CHUNK_BYTES));
}

/** How many bytes an object of this size holds; what is cut off somewhere holds less, and 0 may be the end of that. */
export function plainSize(sealedBytes: number): number {
  return Math.max(0, sealedBytes - HEAD_BYTES - TAG_BYTES * chunksIn(sealedBytes));
}
