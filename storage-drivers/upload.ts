import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Semaphore } from 'async-mutex';
import { WaldenError } from '../src/errors.ts';
import type { ObjectBody } from './driver.ts';

/**
 * For stores that are sent requests: a body is sent from memory, whole or in parts, and how much memory is bounded. A body
 * that is in memory already is sent from there.
 */

/** The semaphore's work grows with what it counts: so many pieces of memory are enough. */
const MOST_PIECES = 1024;

/** Memory for uploads: what does not fit waits for its turn. One for each store, for all that goes up to it. */
export class UploadMemory {
  readonly bytes: number;
  readonly #pieceBytes: number;
  readonly #pieces: number;
  readonly #room: Semaphore;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#pieceBytes = Math.ceil(bytes / MOST_PIECES);
    this.#pieces = Math.floor(bytes / this.#pieceBytes);
    this.#room = new Semaphore(this.#pieces);
  }

  /** Resolves when there is room; what it gives makes the room free again. What is larger than all of it takes all. */
  async take(bytes: number): Promise<() => void> {
    const pieces = Math.ceil(bytes / this.#pieceBytes);
    const [, release] = await this.#room.acquire(Math.max(1, Math.min(pieces, this.#pieces)));
    return release;
  }
}

/** One piece of a body, in memory. */
export interface Part {
  /** From 1. */
  readonly number: number;
  /** In the body, in bytes. */
  readonly offset: number;
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

interface Upload {
  readonly memory: UploadMemory;
  readonly signal?: AbortSignal | undefined;
}

/** The whole body in one piece. @throws STORAGE_SIZE when it gave other bytes than it promised: nothing was sent */
export async function sendWhole<Result>(
  body: ObjectBody,
  { memory, signal }: Upload,
  send: (bytes: Buffer, sha256: string) => Promise<Result>,
): Promise<Result> {
  const release = await memory.take(body.size);
  try {
    assertNotAborted(signal);
    const { bytes, sha256 } = await readWhole(body);
    return await send(bytes, sha256);
  } finally {
    release();
  }
}

async function readWhole(body: ObjectBody): Promise<{ readonly bytes: Buffer; readonly sha256: string }> {
  const source = new BodyReader(body);
  try {
    const bytes = await source.read(body.size);
    return { bytes, sha256: await source.finish() };
  } finally {
    source.close();
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
  { memory, signal, partBytes, concurrency }: Upload & { readonly partBytes: number; readonly concurrency: number },
  send: (part: Part) => Promise<void>,
): Promise<void> {
  const source = new BodyReader(body);
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for (let number = 1, offset = 0; offset < body.size && failures.length === 0; number += 1) {
      while (underWay.size >= concurrency) await Promise.race(underWay);
      const length = Math.min(partBytes, body.size - offset);
      const release = await memory.take(length);
      try {
        assertNotAborted(signal);
        const bytes = await source.read(length);
        const isLast = offset + length === body.size;
        if (isLast) await source.finish();
        const sending = send({ number, offset, bytes, isLast })
          .catch((error: unknown) => void failures.push(error))
          .finally(() => {
            underWay.delete(sending);
            release();
          });
        underWay.add(sending);
      } catch (error) {
        release();
        throw error;
      }
      offset += length;
    }
  } finally {
    source.close();
    await Promise.all(underWay);
  }
  if (failures.length > 0) throw failures[0];
}

/** Gives the bytes of a body one after the other. */
interface Source {
  /** So many bytes: fewer only at the end of the body. */
  take(length: number): Promise<Buffer>;
  close(): void;
}

/** Reads a body from its beginning to its end, and hashes what comes into memory on the way. */
class BodyReader {
  readonly #body: ObjectBody;
  readonly #hash: Hash | undefined;
  readonly #source: Source;
  #done = 0;

  constructor(body: ObjectBody) {
    this.#body = body;
    this.#hash = body.bytes === undefined ? createHash('sha256') : undefined;
    this.#source = sourceOf(body);
  }

  /** @throws STORAGE_SIZE when the body ends before */
  async read(length: number): Promise<Buffer> {
    const bytes = await this.#source.take(length);
    if (bytes.length < length) throw this.#lie(this.#done + bytes.length);
    this.#hash?.update(bytes);
    this.#done += length;
    return bytes;
  }

  /** The hash of all that was read. @throws STORAGE_SIZE when there is more, or it is other bytes */
  async finish(): Promise<string> {
    const { length: more } = await this.#source.take(1);
    if (more > 0) throw this.#lie(this.#done + more);
    const sha256 = await this.#body.sha256();
    if (this.#hash !== undefined && sha256 !== this.#hash.digest('hex')) throw this.#lie(this.#done);
    return sha256;
  }

  close(): void {
    this.#source.close();
  }

  #lie(bytes: number): WaldenError {
    return new WaldenError(
      'STORAGE_SIZE',
      `the body gave ${bytes} other bytes than the ${this.#body.size} it promised`,
    );
  }
}

function sourceOf(body: ObjectBody): Source {
  if (body.bytes !== undefined) return new MemorySource(body.bytes());
  return body.path === undefined ? new StreamSource(body.open()) : new FileSource(body.path);
}

class MemorySource implements Source {
  #rest: Buffer;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array) {
    this.#rest = Buffer.from(buffer, byteOffset, byteLength);
  }

  take(length: number): Promise<Buffer> {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return Promise.resolve(taken);
  }

  close(): void {
    // Nothing is open.
  }
}

class StreamSource implements Source {
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#chunks = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < buffer.length) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) break;
        this.#rest = next.value;
      }
      const taken = this.#rest.subarray(0, buffer.length - filled);
      buffer.set(taken, filled);
      filled += taken.length;
      this.#rest = this.#rest.subarray(taken.length);
    }
    return buffer.subarray(0, filled);
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** Into the buffer without a stream, whose chunks of 64 KiB cost more than the reading and the hashing together. */
class FileSource implements Source {
  readonly #opening: Promise<FileHandle>;
  #offset = 0;

  constructor(path: string) {
    this.#opening = open(path);
    // Whoever fills is told.
    this.#opening.catch(() => undefined);
  }

  async take(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    const file = await this.#opening;
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, this.#offset);
      if (bytesRead === 0) break;
      filled += bytesRead;
      this.#offset += bytesRead;
    }
    return buffer.subarray(0, filled);
  }

  close(): void {
    this.#opening.then((file) => file.close()).catch(() => undefined);
  }
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new WaldenError('INTERRUPTED', 'gave up to store', { cause: signal.reason });
}
