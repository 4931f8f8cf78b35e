import { readSync } from 'node:fs';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { type ByteChannelPort, receiveBytes } from './byte-channel.ts';
import { beginRead, endRead, type ReadingCells } from './reading-cells.ts';

/** Bytes for a worker: another thread sends them, or they stand in a file that is open and that it reads itself. */
export type ByteSource = ByteChannelPort | FilePart;

/** A part of an open file, which the other thread closes. */
export interface FilePart {
  readonly descriptor: number;
  readonly offset: number;
  readonly length: number;
  /** For errors. */
  readonly what: string;
  readonly cells: ReadingCells;
}

const CHUNK_BYTES = 256 * 1024;
let chunkBuffer: Buffer | undefined;

/**
 * On a worker, which reads one source at a time. A chunk is valid until the next one is asked for.
 * @throws what the sender's source throws; of a file STORAGE_UNAVAILABLE, STORAGE_SIZE (it is too short), INTERRUPTED
 */
export async function* readBytes(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  if ('descriptor' in source) yield* readFilePart(source);
  else yield* receiveBytes(source);
}

function* readFilePart({ descriptor, offset, length, what, cells }: FilePart): Generator<Uint8Array, void, undefined> {
  chunkBuffer ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let done = 0, number = 1; done < length; number += 1) {
    if (!beginRead(cells, number)) throw interrupted(what);
    const count = readOrFail(descriptor, chunkBuffer, Math.min(CHUNK_BYTES, length - done), offset + done, what);
    if (!endRead(cells, number)) throw interrupted(what);
    if (count === 0) throw new WaldenError('STORAGE_SIZE', `${what} gave ${done} bytes instead of ${length}`);
    done += count;
    yield chunkBuffer.subarray(0, count);
  }
}

function interrupted(what: string): WaldenError {
  return new WaldenError('INTERRUPTED', `gave up to read ${what}`);
}

function readOrFail(descriptor: number, into: Buffer, length: number, position: number, what: string): number {
  try {
    return readSync(descriptor, into, 0, length, position);
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? String(cause);
    throw new WaldenError('STORAGE_UNAVAILABLE', `unable to read ${what} (${reason})`, { cause });
  }
}

/** Ends a source that was not read to its end. */
export function closeSource(source: ByteSource): void {
  if (!('descriptor' in source)) source.close();
}
