import { BLOCK_BYTES, headerBytes } from '../../src/postgres/incremental-file.ts';

/**
 * A relation's file as it goes through a chain of backups, the simple way: an array of blocks, and what the server notes of
 * it between two backups. What restores make of the chain must be what the array says.
 */
export type BlockStep =
  /** WAL-logged: the block is in the next increment. May extend the file, by blocks that nothing is written to. */
  | { readonly kind: 'write'; readonly block: number; readonly content: number }
  /** To so many blocks. */
  | { readonly kind: 'truncate'; readonly blocks: number }
  /** By blocks that are zeros, without a word in the WAL. */
  | { readonly kind: 'extend'; readonly blocks: number };

/** The file as one backup has it. */
export type BackedUp =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  | {
      readonly kind: 'increment';
      readonly bytes: Buffer;
      readonly blocks: readonly number[];
      readonly truncation: number;
    };

export class BlockHistory {
  readonly blocks: number[];
  readonly #changed = new Set<number>();
  #shortest: number;

  constructor(blocks: readonly number[]) {
    this.blocks = [...blocks];
    this.#shortest = blocks.length;
  }

  apply(step: BlockStep): void {
    switch (step.kind) {
      case 'write':
        while (this.blocks.length <= step.block) this.blocks.push(0);
        this.blocks[step.block] = step.content;
        this.#changed.add(step.block);
        return;
      case 'truncate': {
        const to = Math.min(step.blocks, this.blocks.length);
        this.blocks.length = to;
        this.#shortest = Math.min(this.#shortest, to);
        for (const block of this.#changed) if (block >= to) this.#changed.delete(block);
        return;
      }
      case 'extend':
        for (let added = 0; added < step.blocks; added += 1) this.blocks.push(0);
    }
  }

  whole(): BackedUp {
    this.#begin();
    return { kind: 'whole', bytes: bytesOf(this.blocks) };
  }

  /** As the server of an incremental backup writes it: no block behind what the file was cut to, unless it changed since. */
  increment(): BackedUp {
    const blocks = [...this.#changed].sort((a, b) => a - b);
    const truncation = Math.min(this.#shortest, this.blocks.length);
    this.#begin();
    // What was extended without WAL has to be there too: the length tells.
    const length = this.blocks.length;
    const last = length - 1;
    if (length > truncation && !blocks.includes(last)) blocks.push(last);
    return { kind: 'increment', blocks, truncation, bytes: encodeIncrement(truncation, blocks, this.blocks) };
  }

  bytes(): Buffer {
    return bytesOf(this.blocks);
  }

  #begin(): void {
    this.#changed.clear();
    this.#shortest = Infinity;
  }
}

export function encodeIncrement(truncation: number, blocks: readonly number[], contents: readonly number[]): Buffer {
  const header = Buffer.alloc(headerBytes(blocks.length));
  header.writeUInt32LE(0xd3ae1f0d, 0);
  header.writeUInt32LE(blocks.length, 4);
  header.writeUInt32LE(truncation, 8);
  blocks.forEach((block, index) => header.writeUInt32LE(block, 12 + 4 * index));
  return Buffer.concat([header, ...blocks.map((block) => blockOf(contents[block] ?? 0))]);
}

function bytesOf(blocks: readonly number[]): Buffer {
  return Buffer.concat(blocks.map(blockOf));
}

/** Zeros for 0, else bytes that tell one content from another anywhere in the block. */
function blockOf(content: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (content === 0) return block;
  for (let at = 0; at < BLOCK_BYTES; at += 4) block.writeUInt32LE((content * 2654435761 + at * 40503) >>> 0, at);
  return block;
}
