import { WaldenError } from '../errors.ts';
import { FrameDecompressor } from '../repository/codec.ts';

/** Walden writes frames of some MiB; what claims to be far larger must not make this allocate it. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

let decompressor: FrameDecompressor | undefined;

/** Cuts a stream of chunks into frames. On a worker. */
export class FrameReader {
  readonly #source: AsyncGenerator<Uint8Array, void, undefined>;
  readonly #object: string;
  #chunk: Uint8Array = new Uint8Array(0);
  #buffer = new Uint8Array(0);

  constructor(source: AsyncGenerator<Uint8Array, void, undefined>, object: string) {
    this.#source = source;
    this.#object = object;
  }

  /**
   * The plain bytes of the next frame; the view is valid until the next call of this or another reader of the thread.
   * @throws CHECKSUM_MISMATCH naming `what`, FORMAT_INVALID
   */
  async frame(storedBytes: number, plainBytes: number, what: string): Promise<Uint8Array> {
    if (storedBytes > MAX_FRAME_BYTES || plainBytes > MAX_FRAME_BYTES) {
      throw new WaldenError('FORMAT_INVALID', `the manifest claims a frame of ${plainBytes} bytes for ${what}`);
    }
    decompressor ??= new FrameDecompressor();
    return decompressor.decompress(await this.#take(storedBytes), plainBytes, what);
  }

  /** Passes over stored bytes that nobody wants. @throws CHECKSUM_MISMATCH when there are fewer */
  async pass(length: number): Promise<void> {
    for (let left = length; left > 0;) {
      left -= this.#cut(Math.min(left, this.#chunk.byteLength)).byteLength;
      if (left > 0) await this.#fetch();
    }
  }

  /** The next `length` bytes; the view is valid until the next call. @throws CHECKSUM_MISMATCH when there are fewer */
  async #take(length: number): Promise<Uint8Array> {
    if (this.#chunk.byteLength >= length) return this.#cut(length);
    if (this.#buffer.byteLength < length) this.#buffer = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const part = this.#cut(Math.min(length - filled, this.#chunk.byteLength));
      this.#buffer.set(part, filled);
      filled += part.byteLength;
      if (filled === length) break;
      await this.#fetch();
    }
    return this.#buffer.subarray(0, length);
  }

  /** Stops the sender too. */
  async close(): Promise<void> {
    await this.#source.return();
  }

  async #fetch(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) throw new WaldenError('CHECKSUM_MISMATCH', `${this.#object} ends too early`);
    this.#chunk = next.value;
  }

  #cut(length: number): Uint8Array {
    const part = this.#chunk.subarray(0, length);
    this.#chunk = this.#chunk.subarray(length);
    return part;
  }
}
