import { DATA_PAGE_BYTES, PAGE_SUM } from './page-checksum-code.ts';
import { bind, compile, createMemory, type WasmModule } from './wasm.ts';

export { DATA_PAGE_BYTES } from './page-checksum-code.ts';

/**
 * PostgreSQL's checksum of data pages (checksum_impl.h): the sum of page-checksum-code.ts, mixed with the block number of
 * the page in its relation.
 */

/** Offsets in PageHeaderData (bufpage.h). */
const PD_CHECKSUM = 8;
const PD_UPPER = 14;

const ZEROS = Buffer.alloc(DATA_PAGE_BYTES);

type PageSum = (address: number) => number;

/** Of each memory that `allocatePages` made, by its buffer. */
const sums = new WeakMap<ArrayBufferLike, PageSum>();
// Both are made when they are needed: most threads check no pages.
let module: WasmModule | undefined;
let scratch: Buffer | undefined;

/**
 * Memory, all zeros at first, in which pages are checked where they are; others are copied for it. To be used again and
 * again: however small, it takes some GiB of address space.
 * @throws LOCAL_IO
 */
export function allocatePages(bytes: number): Buffer {
  module ??= compile(PAGE_SUM);
  const memory = createMemory(bytes);
  sums.set(memory.buffer, bind(module, memory));
  return Buffer.from(memory.buffer, 0, bytes);
}

/**
 * Block numbers of the pages whose checksum is wrong. `bytes` holds whole pages; `firstBlock` is the number of the first
 * one in the relation (not in the file: a relation's second file begins at block 131072). A new page, which has no
 * contents yet (pd_upper is 0), has no checksum; PostgreSQL accepts it only when all of it is zero (PageIsVerified), so a
 * page that has lost its header is bad here too.
 */
export function findBadPages(bytes: Uint8Array, firstBlock: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sumAt = pageSums(bytes);
  const bad: number[] = [];
  for (let at = 0, block = firstBlock; at + DATA_PAGE_BYTES <= bytes.byteLength; at += DATA_PAGE_BYTES, block += 1) {
    const sound =
      view.getUint16(at + PD_UPPER, true) === 0
        ? ZEROS.equals(pageAt(bytes, at))
        : checksum(sumAt(at), block) === view.getUint16(at + PD_CHECKSUM, true);
    if (!sound) bad.push(block);
  }
  return bad;
}

/** The sum of the page at an offset of `bytes`. */
function pageSums(bytes: Uint8Array): (at: number) => number {
  const sum = sums.get(bytes.buffer);
  if (sum !== undefined) return (at) => sum(bytes.byteOffset + at);
  scratch ??= allocatePages(DATA_PAGE_BYTES);
  const copy = scratch;
  const sumOfCopy = pageSums(copy);
  return (at) => {
    // By memcpy: `set` copies what stands in shared memory at a tenth of the speed.
    copy.fill(pageAt(bytes, at));
    return sumOfCopy(0);
  };
}

function pageAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at, at + DATA_PAGE_BYTES);
}

function checksum(sum: number, block: number): number {
  return (((sum ^ block) >>> 0) % 65535) + 1;
}
