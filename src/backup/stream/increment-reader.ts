import { WaldenError } from '../../errors.ts';
import {
  BLOCK_BYTES,
  headerBytes,
  INCREMENT_HEAD_BYTES,
  type IncrementHead,
  parseIncrementBlocks,
  parseIncrementHead,
} from '../../postgres/incremental-file.ts';

/** Looks at the bytes of an increment as they go by: how it begins, and which block each page of it is. */
export class IncrementReader {
  readonly #path: string;
  readonly #bytes: number;
  #header: Buffer = Buffer.alloc(INCREMENT_HEAD_BYTES);
  #filled = 0;
  #head: IncrementHead | undefined;
  #blocks: Uint32Array | undefined;

  /** @param bytes of the whole file */
  constructor(path: string, bytes: number) {
    this.#path = path;
    this.#bytes = bytes;
  }

  /** The next bytes of the file. @throws FORMAT_INVALID when it is no increment */
  feed(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0 && this.#blocks === undefined;) {
      const part = rest.subarray(0, this.#header.length - this.#filled);
      this.#header.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === this.#header.length) this.#read();
    }
  }

  /** How it begins. @throws FORMAT_INVALID when it has ended before that is known */
  get head(): IncrementHead {
    if (this.#head !== undefined && this.#blocks !== undefined) return this.#head;
    throw new WaldenError('FORMAT_INVALID', `${this.#path} ends within its header`);
  }

  /** The numbers of the blocks in this part of the file, which begins at a page; what is not known yet is not among them. */
  blocksIn(offset: number, bytes: number): readonly number[] {
    if (this.#blocks === undefined) return [];
    const begin = headerBytes(this.#blocks.length);
    const first = Math.max(0, offset - begin) / BLOCK_BYTES;
    return [...this.#blocks.subarray(first, Math.max(first, (offset + bytes - begin) / BLOCK_BYTES))];
  }

  #read(): void {
    if (this.#head === undefined) {
      this.#head = parseIncrementHead(this.#header, this.#bytes, this.#path);
      // No longer than the file.
      const header = Buffer.alloc(headerBytes(this.#head.blocks));
      header.set(this.#header);
      this.#header = header;
      if (this.#filled < header.length) return;
    }
    this.#blocks = parseIncrementBlocks(this.#header, this.#bytes, this.#path);
    this.#header = Buffer.alloc(0);
  }
}
