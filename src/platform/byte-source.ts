import { readSync } from 'node:fs';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { type ByteChannelPort, receiveBytes } from './byte-channel.ts';
import { beginRead, endRead, type ReadingCells } from './reading-cells.ts';
import { RangeOpener, SEALED_CHUNK_BYTES, type SealedPart } from './sealed-chunks.ts';

/** Bytes for a worker: another thread sends them, or they stand in a file that is open and that it reads itself. */
export type ByteSource = ByteChannelPort | FilePart;

/** A part of an open file, which the other thread closes. */
export interface FilePart {
  readonly descriptor: number;
  readonly offset: number;
  readonly length: number;
  /** Set where it is encrypted. */
  readonly sealed?: SealedPart | undefined;
  /** For errors. */
  readonly what: string;
  readonly cells: ReadingCells;
}

/** Whole chunks of what is encrypted. */
const CHUNK_BYTES = 4 * SEALED_CHUNK_BYTES;
let chunkBuffer: Buffer | undefined;

/**
 * On a worker, which reads one source at a time. A chunk is valid until the next one is asked for.
 * @throws what the sender's source throws; of a file STORAGE_UNAVAILABLE, STORAGE_SIZE (it is too short), INTERRUPTED
 */
export async function* readBytes(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  if (!('descriptor' in source)) yield* receiveBytes(source);
  else if (source.sealed === undefined) yield* readFilePart(source);
  else yield* openFilePart(source, source.sealed);
}

function* openFilePart(source: FilePart, sealed: SealedPart): Generator<Uint8Array, void, undefined> {
  const opener = new RangeOpener(sealed, source.what);
  for (const bytes of readFilePart(source)) {
    for (let at = 0; at < bytes.byteLength; at += SEALED_CHUNK_BYTES) {
      yield opener.open(bytes.subarray(at, at + SEALED_CHUNK_BYTES));
    }
  }
}

function* readFilePart({ descriptor, offset, length, what, cells }: FilePart): Generator<Uint8Array, void, undefined> {
  chunkBuffer ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let done = 0, number = 1; done < length; number += 1) {
    if (!beginRead(cells, number)) throw interrupted(what);
    const count = readFully(descriptor, chunkBuffer, Math.min(CHUNK_BYTES, length - done), offset + done, what);
    if (!endRead(cells, number)) throw interrupted(what);
    if (count === 0) throw new WaldenError('STORAGE_SIZE', `${what} gave ${done} bytes instead of ${length}`);
    done += count;
    yield chunkBuffer.subarray(0, count);
  }
}

/** Less only at the end of the file. */
function readFully(descriptor: number, into: Buffer, length: number, position: number, what: string): number {
  let filled = 0;
  while (filled < length) {
    const count = readOrFail(descriptor, into, filled, length - filled, position + filled, what);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

function interrupted(what: string): WaldenError {
  return new WaldenError('INTERRUPTED', `gave up to read ${what}`);
}

function readOrFail(
  descriptor: number,
  into: Buffer,
  at: number,
  length: number,
  position: number,
  what: string,
): number {
  try {
    return readSync(descriptor, into, at, length, position);
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? String(cause);
    throw new WaldenError('STORAGE_UNAVAILABLE', `unable to read ${what} (${reason})`, { cause });
  }
}

/** Ends a source that was not read to its end. */
export function closeSource(source: ByteSource): void {
  if (!('descriptor' in source)) source.close();
}
