import { WaldenError } from '../errors.ts';

/**
 * Files of PostgreSQL's incremental backups (basebackup_incremental.c, reconstruct.c of pg_combinebackup), pure. A file
 * `INCREMENTAL.<name>`, all numbers little-endian: u32 magic number; u32 how many blocks it holds; u32 its truncation block
 * length; u32 the number of each block, ascending; zeros up to a multiple of 8192 bytes, where it holds any block; the
 * blocks.
 *
 * The truncation block length is how long the file has been at the least since the backup before (or is now, where it was
 * not cut): what an older backup has from there on is no longer of this file.
 */

export const BLOCK_BYTES = 8192;
/** Enough to know what an increment holds. */
export const INCREMENT_HEAD_BYTES = 12;

const MAGIC = 0xd3ae1f0d;
const PREFIX = 'INCREMENTAL.';
/** Where the server writes increments; elsewhere a file of that name is a stranger's, which is copied as it is. */
const PLACE = /^(?:base\/\d+|global|pg_tblspc\/\d+\/[^/]+\/\d+)\/[^/]+$/;
/** 64 GiB, where a segment of a relation has 1 GiB unless the server was built otherwise. Memory follows from it. */
export const MAX_SEGMENT_BLOCKS = 8 * 1024 * 1024;

/** What stands in the first twelve bytes. */
export interface IncrementHead {
  /** How many blocks it holds. */
  readonly blocks: number;
  /** In blocks. */
  readonly truncation: number;
}

/** Whether a path of a backup is that of an increment, which replaces blocks of the file in the backup before. */
export function isIncrementPath(path: string): boolean {
  return PLACE.test(path) && path.startsWith(PREFIX, path.lastIndexOf('/') + 1);
}

/** Whether an increment may build on the file: others are always whole. */
export function isRelationPath(path: string): boolean {
  return PLACE.test(path);
}

/** `base/5/1259` for `base/5/INCREMENTAL.1259`; any other path as it is. */
export function wholePath(path: string): string {
  if (!isIncrementPath(path)) return path;
  const name = path.lastIndexOf('/') + 1;
  return path.slice(0, name) + path.slice(name + PREFIX.length);
}

/** What the size of a file follows from. */
export function incrementBytes({ blocks }: IncrementHead): number {
  return headerBytes(blocks) + blocks * BLOCK_BYTES;
}

/** Where the blocks begin. */
export function headerBytes(blocks: number): number {
  const bytes = INCREMENT_HEAD_BYTES + 4 * blocks;
  return blocks === 0 ? bytes : Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/**
 * Reads the first bytes of an increment. Nothing is believed that the size of the file does not bear out.
 * @param bytes of the whole file
 * @throws FORMAT_INVALID naming `what`
 */
export function parseIncrementHead(head: Uint8Array, bytes: number, what: string): IncrementHead {
  if (head.byteLength < INCREMENT_HEAD_BYTES) throw invalid(what, `${bytes} bytes are too few`);
  const view = new DataView(head.buffer, head.byteOffset, INCREMENT_HEAD_BYTES);
  if (view.getUint32(0, true) !== MAGIC) throw invalid(what, 'its magic number is another one');
  const found = { blocks: view.getUint32(4, true), truncation: view.getUint32(8, true) };
  assertIncrementHead(found, bytes, what);
  return found;
}

/** @throws FORMAT_INVALID unless a file of this size may begin so */
export function assertIncrementHead(head: IncrementHead, bytes: number, what: string): void {
  const { blocks, truncation } = head;
  if (blocks > MAX_SEGMENT_BLOCKS || truncation > MAX_SEGMENT_BLOCKS) {
    throw invalid(what, `it speaks of ${blocks} blocks and a length of ${truncation}, which no segment has`);
  }
  if (incrementBytes(head) !== bytes) throw invalid(what, `it has ${bytes} bytes and speaks of ${blocks} blocks`);
}

/**
 * The numbers of the blocks, in the order in which they stand in the file.
 * @param header at least the bytes before the blocks
 * @throws FORMAT_INVALID when they do not ascend, or lie beyond any segment
 */
export function parseIncrementBlocks(header: Uint8Array, bytes: number, what: string): Uint32Array {
  const { blocks } = parseIncrementHead(header, bytes, what);
  if (header.byteLength < INCREMENT_HEAD_BYTES + 4 * blocks) throw invalid(what, 'it ends within its header');
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const numbers = new Uint32Array(blocks);
  let last = -1;
  for (let index = 0; index < blocks; index += 1) {
    const number = view.getUint32(INCREMENT_HEAD_BYTES + 4 * index, true);
    if (number <= last || number >= MAX_SEGMENT_BLOCKS) {
      throw invalid(what, `block ${number} follows block ${last}`);
    }
    last = number;
    numbers[index] = number;
  }
  return numbers;
}

function invalid(what: string, fact: string): WaldenError {
  return new WaldenError('FORMAT_INVALID', `${what} is no increment of a relation: ${fact}`);
}
