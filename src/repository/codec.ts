import binding from 'zstd-napi/binding.js';
import { WaldenError } from '../errors.ts';

/**
 * Compression, the only home of the zstd binding. All of it is synchronous: heavy use belongs onto a worker. Every frame
 * carries zstd's own checksum, and its plain size where that is known in advance.
 */

const { CParameter, EndDirective, ResetDirective } = binding;
const NO_BYTES = new Uint8Array(0);
const OUTPUT_BYTES = 256 * 1024;
const MAGIC_BYTES = 4;
const MAGIC_FRAME = 0xfd2fb528;
const MAGIC_SKIPPABLE = 0x184d2a50;

/** One-shot frames into one reused buffer. */
export class FrameCompressor {
  readonly #context = new binding.CCtx();
  #output = new Uint8Array(0);

  constructor(level: number) {
    configure(this.#context, level);
  }

  /** The frame; the view is valid until the next call. */
  compress(plain: Uint8Array): Uint8Array {
    const bound = frameBound(plain.byteLength);
    if (this.#output.byteLength < bound) this.#output = new Uint8Array(bound);
    return this.#output.subarray(0, this.compressInto(this.#output, plain));
  }

  /** The length of the frame, for which there must be room (`frameBound`). */
  compressInto(target: Uint8Array, plain: Uint8Array): number {
    return this.#context.compress2(target, plain);
  }
}

/** No frame of so many bytes is longer. */
export function frameBound(plainBytes: number): number {
  return binding.compressBound(plainBytes);
}

/** The one of this thread and level: its context and its buffer are megabytes. */
export function frameCompressor(level: number): FrameCompressor {
  const known = frameCompressors.get(level) ?? new FrameCompressor(level);
  frameCompressors.set(level, known);
  return known;
}

const frameCompressors = new Map<number, FrameCompressor>();

/** Decompresses frames whose plain size is known, into one reused buffer or one of the caller's. */
export class FrameDecompressor {
  readonly #context = new binding.DCtx();
  #output = new Uint8Array(0);

  /**
   * The view is valid until the next call. `stored` may hold several frames in a row.
   * @throws CHECKSUM_MISMATCH naming `what` unless `stored` gives exactly `plainBytes` sound bytes.
   */
  decompress(stored: Uint8Array, plainBytes: number, what: string): Uint8Array {
    if (this.#output.byteLength < plainBytes) this.#output = new Uint8Array(plainBytes);
    const target = this.#output.subarray(0, plainBytes);
    this.decompressInto(target, stored, what);
    return target;
  }

  /** Fills `target` exactly. @throws CHECKSUM_MISMATCH */
  decompressInto(target: Uint8Array, stored: Uint8Array, what: string): void {
    let produced: number;
    try {
      produced = this.#context.decompress(target, stored);
    } catch (cause) {
      throw new WaldenError('CHECKSUM_MISMATCH', `unable to decompress ${what}: the stored bytes are damaged`, {
        cause,
      });
    }
    if (produced !== target.byteLength) {
      throw new WaldenError(
        'CHECKSUM_MISMATCH',
        `${what} holds ${produced} bytes where ${target.byteLength} were stored`,
      );
    }
  }
}

/** Makes one frame of any length out of chunks, in bounded memory. Use it once. */
export class StreamCompressor {
  readonly #context = takeCompressor();

  constructor(level: number) {
    configure(this.#context, level);
  }

  /** Gives what is ready so far to `take`; a piece is valid until `take` returns. */
  feed(chunk: Uint8Array, take: (piece: Uint8Array) => void): void {
    let rest = chunk;
    while (rest.byteLength > 0) {
      const [, produced, consumed] = this.#context.compressStream2(compressed, rest, EndDirective.continue);
      if (produced > 0) take(compressed.subarray(0, produced));
      rest = rest.subarray(consumed);
    }
  }

  /** Ends the frame. */
  finish(take: (piece: Uint8Array) => void): void {
    for (let remaining = 1; remaining > 0;) {
      const [left, produced] = this.#context.compressStream2(compressed, NO_BYTES, EndDirective.end);
      if (produced > 0) take(compressed.subarray(0, produced));
      remaining = left;
    }
    idleCompressors.push(this.#context);
  }
}

/**
 * Decompresses a stream of frames and skippable frames, in bounded memory. Use it once.
 *
 * Nothing that `feed` has returned is proven before the frame's end (its checksum) has passed, and nothing is known to be
 * whole before `finish` has returned.
 */
export class StreamDecompressor {
  readonly #context = takeDecompressor();
  readonly #what: string;
  readonly #head = new Uint8Array(MAGIC_BYTES);
  readonly #maxPlainBytes: number;
  #plainBytes = 0;
  #headBytes = 0;
  #betweenFrames = true;

  /** `what` names the object in errors. `maxPlainBytes`: what was stored cannot have more, however much comes out of it. */
  constructor(what: string, maxPlainBytes = Number.POSITIVE_INFINITY) {
    this.#what = what;
    this.#maxPlainBytes = maxPlainBytes;
  }

  /**
   * Decompresses as the caller takes the pieces: a small chunk may hold a gigabyte of zeros. All of them must be taken. A
   * piece is valid until the next one is asked for, of this or another stream of the thread.
   * @throws FORMAT_INVALID when it does not begin as zstd, CHECKSUM_MISMATCH when it is damaged further on or too long.
   */
  *feed(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let rest = this.#pastMagic(chunk);
    for (let full = false; rest.byteLength > 0 || full;) {
      const [left, produced, consumed] = this.#step(rest);
      rest = rest.subarray(consumed);
      full = produced === decompressed.byteLength && left !== 0;
      if (produced > 0 || consumed > 0) this.#betweenFrames = left === 0;
      this.#plainBytes += produced;
      if (this.#plainBytes > this.#maxPlainBytes) {
        throw new WaldenError(
          'CHECKSUM_MISMATCH',
          `${this.#what} holds more than the ${this.#maxPlainBytes} bytes stored`,
        );
      }
      if (produced > 0) yield decompressed.subarray(0, produced);
    }
  }

  /** @throws FORMAT_INVALID when the stream ended inside a frame or held nothing. */
  finish(): void {
    if (!this.#betweenFrames || this.#headBytes < MAGIC_BYTES) {
      throw new WaldenError('FORMAT_INVALID', `${this.#what} ends too early: its last part is missing`);
    }
    idleDecompressors.push(this.#context);
  }

  #step(rest: Uint8Array): readonly [number, number, number] {
    try {
      return this.#context.decompressStream(decompressed, rest);
    } catch (cause) {
      throw new WaldenError('CHECKSUM_MISMATCH', `unable to decompress ${this.#what}: the stored bytes are damaged`, {
        cause,
      });
    }
  }

  /** Holds the first bytes back until they are enough to know the format by. */
  #pastMagic(chunk: Uint8Array): Uint8Array {
    if (this.#headBytes === MAGIC_BYTES) return chunk;
    const part = chunk.subarray(0, MAGIC_BYTES - this.#headBytes);
    this.#head.set(part, this.#headBytes);
    this.#headBytes += part.byteLength;
    if (this.#headBytes < MAGIC_BYTES) return NO_BYTES;
    const magic = new DataView(this.#head.buffer).getUint32(0, true);
    if (magic !== MAGIC_FRAME && (magic & 0xffff_fff0) >>> 0 !== MAGIC_SKIPPABLE) {
      throw new WaldenError('FORMAT_INVALID', `${this.#what} is not compressed with zstd`);
    }
    return part.byteLength === MAGIC_BYTES ? chunk : Buffer.concat([this.#head, chunk.subarray(part.byteLength)]);
  }
}

/** A small thing in one frame. */
export function compressBytes(plain: Uint8Array, level: number): Buffer {
  return Buffer.from(new FrameCompressor(level).compress(plain));
}

// Streams of a thread share them: fresh memory for each piece costs as much as a tenth of the compression, and more than
// all of the decompression, most of it in the garbage collector, which counts what stands outside its heap.
const compressed = new Uint8Array(new ArrayBuffer(OUTPUT_BYTES));
const decompressed = new Uint8Array(new ArrayBuffer(OUTPUT_BYTES));

// Contexts hold megabytes outside the heap, which the collector does not see: those used to their end are used again.
const idleCompressors: InstanceType<typeof binding.CCtx>[] = [];
const idleDecompressors: InstanceType<typeof binding.DCtx>[] = [];

function takeCompressor(): InstanceType<typeof binding.CCtx> {
  return idleCompressors.pop() ?? new binding.CCtx();
}

function takeDecompressor(): InstanceType<typeof binding.DCtx> {
  const context = idleDecompressors.pop() ?? new binding.DCtx();
  context.reset(ResetDirective.sessionAndParameters);
  return context;
}

function configure(context: InstanceType<typeof binding.CCtx>, level: number): void {
  context.reset(ResetDirective.sessionAndParameters);
  context.setParameter(CParameter.compressionLevel, level);
  context.setParameter(CParameter.checksumFlag, 1);
}
