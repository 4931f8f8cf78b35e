import { BLOCK_BYTES } from '../../postgres/incremental-file.ts';

/**
 * Which block of one file comes from where (the rules of pg_combinebackup's reconstruct.c), pure:
 *
 * - the file is as long as the newest increment says, or longer where that one has a block behind it;
 * - a block comes from the newest backup that has it, going back to the first whole file;
 * - what no backup has is zeros: the server extended the file and has written nothing there yet;
 * - what an increment says was cut off is not taken from any backup before it. pg_combinebackup heeds only what the newest
 *   one says of that: where an older one has cut a file that has grown again, it would bring back what was cut.
 */

/** One backup's file: an increment with its blocks, or a whole one. */
export interface BlockSource {
  /** The numbers of its blocks, ascending, in the order of the file; of a whole file how many it has. */
  readonly blocks: Uint32Array | number;
  /** Only blocks below this number are taken of it. */
  readonly limit: number;
}

/** Bytes that follow one another in a source, and so in the file that is made. In bytes. */
export interface Copy {
  /** In the source, behind the header of an increment. */
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

export interface RebuildPlan {
  /** Of the file that is made. */
  readonly bytes: number;
  /** Per source, in the order given: what is taken of it, ascending. */
  readonly copies: readonly (readonly Copy[])[];
  /** What stays: `from` is meaningless. */
  readonly zeros: readonly Copy[];
}

/**
 * @param truncation of the newest increment, in blocks
 * @param sources newest first, that increment among them if it has blocks; a whole one last
 */
export function planRebuild(truncation: number, sources: readonly BlockSource[]): RebuildPlan {
  const length = lengthInBlocks(truncation, sources[0]);
  const taken = new Uint8Array(length);
  const copies = sources.map(({ blocks, limit }) => {
    const runs = new Runs();
    const end = Math.min(limit, length);
    if (typeof blocks === 'number') {
      for (let block = 0; block < Math.min(blocks, end); block += 1) {
        if (taken[block] === 0) runs.add(block, block);
        taken[block] = 1;
      }
    } else {
      for (let index = 0; index < blocks.length; index += 1) {
        const block = blocks[index] ?? 0;
        if (block >= end) break;
        if (taken[block] === 0) runs.add(index, block);
        taken[block] = 1;
      }
    }
    return runs.copies;
  });
  const zeros = new Runs();
  for (let block = 0; block < length; block += 1) if (taken[block] === 0) zeros.add(block, block);
  return { bytes: length * BLOCK_BYTES, copies, zeros: zeros.copies };
}

function lengthInBlocks(truncation: number, newest: BlockSource | undefined): number {
  // Only the increment of the newest backup has no limit.
  if (newest === undefined || newest.limit !== Infinity || typeof newest.blocks === 'number') return truncation;
  return Math.max(truncation, (newest.blocks.at(-1) ?? -1) + 1);
}

/** Joins blocks that follow one another on both sides. */
class Runs {
  readonly copies: { from: number; to: number; bytes: number }[] = [];

  add(fromBlock: number, toBlock: number): void {
    const [from, to] = [fromBlock * BLOCK_BYTES, toBlock * BLOCK_BYTES];
    const last = this.copies.at(-1);
    if (last !== undefined && last.from + last.bytes === from && last.to + last.bytes === to) last.bytes += BLOCK_BYTES;
    else this.copies.push({ from, to, bytes: BLOCK_BYTES });
  }
}
