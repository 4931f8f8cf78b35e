import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { copyBytes } from '../../src/platform/copy-bytes.ts';
import type { ObjectBody } from '../driver.ts';

/** Gives the bytes of a body one after the other. */
export interface BodySource {
  /** So many bytes, fewer only at the end of the body; in `room()` where they were not in memory before. */
  take(length: number, room: () => Buffer): Promise<Buffer>;
  close(): void;
}

export function sourceOf(body: ObjectBody): BodySource {
  if (body.bytes !== undefined) return new MemorySource(body.bytes());
  return body.path === undefined ? new StreamSource(body.open()) : new FileSource(body.path);
}

class MemorySource implements BodySource {
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

class StreamSource implements BodySource {
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#chunks = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  async take(length: number, room: () => Buffer): Promise<Buffer> {
    const buffer = room();
    let filled = 0;
    while (filled < length) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) break;
        this.#rest = next.value;
      }
      const taken = this.#rest.subarray(0, length - filled);
      copyBytes(taken, buffer, filled);
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
class FileSource implements BodySource {
  readonly #opening: Promise<FileHandle>;
  #offset = 0;

  constructor(path: string) {
    this.#opening = open(path);
    // Whoever fills is told.
    this.#opening.catch(() => undefined);
  }

  async take(length: number, room: () => Buffer): Promise<Buffer> {
    const file = await this.#opening;
    const buffer = room();
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(buffer, filled, length - filled, this.#offset);
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
