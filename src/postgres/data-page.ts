/**
 * PostgreSQL's checksum of data pages (checksum_impl.h): FNV-1a over 32 lanes of 32-bit words, two rounds of zeros, the
 * lanes folded, mixed with the block number of the page in its relation.
 */
export const DATA_PAGE_BYTES = 8192;
const LANES = 32;
const ROWS = DATA_PAGE_BYTES / 4 / LANES;
const PRIME = 16777619;
/** pd_checksum is the lower half of the third word; it counts as zero. */
const CHECKSUM_WORD = 2;

const OFFSETS = new Uint32Array([
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f,
  0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
  0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6,
  0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
]);

/**
 * Block numbers of the pages whose checksum is wrong. `bytes` holds whole pages; `firstBlock` is the number of the first
 * one in the relation (not in the file: a relation's second file begins at block 131072). A new page, which has no
 * contents yet (pd_upper is 0), has no checksum; PostgreSQL accepts it only when all of it is zero (PageIsVerified), so a
 * page that has lost its header is bad here too.
 */
export function findBadPages(bytes: Uint8Array, firstBlock: number): number[] {
  const words = wordsOf(bytes);
  const bad: number[] = [];
  const wordsPerPage = DATA_PAGE_BYTES / 4;
  for (let at = 0, block = firstBlock; at + wordsPerPage <= words.length; at += wordsPerPage, block += 1) {
    // pd_lower and pd_upper share the fourth word.
    const isNew = (words[at + 3] ?? 0) >>> 16 === 0;
    const sound = isNew
      ? isZero(words, at)
      : pageChecksum(words, at, block) === ((words[at + CHECKSUM_WORD] ?? 0) & 0xffff);
    if (!sound) bad.push(block);
  }
  return bad;
}

function isZero(words: Uint32Array, at: number): boolean {
  for (let index = at; index < at + DATA_PAGE_BYTES / 4; index += 1) if (words[index] !== 0) return false;
  return true;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >>> 2);
}

function pageChecksum(words: Uint32Array, at: number, block: number): number {
  const checksumAt = at + CHECKSUM_WORD;
  const kept = words[checksumAt] ?? 0;
  words[checksumAt] = kept & 0xffff0000;
  let folded = 0;
  for (let lane = 0; lane < LANES; lane += 8) folded ^= eightLanes(words, at + lane, lane);
  words[checksumAt] = kept;
  return (((folded ^ block) >>> 0) % 65535) + 1;
}

/* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is in range by construction, and this is hot */
/** Eight lanes at a time: as many sums as fit into registers. */
function eightLanes(words: Uint32Array, start: number, lane: number): number {
  let a = OFFSETS[lane]!;
  let b = OFFSETS[lane + 1]!;
  let c = OFFSETS[lane + 2]!;
  let d = OFFSETS[lane + 3]!;
  let e = OFFSETS[lane + 4]!;
  let f = OFFSETS[lane + 5]!;
  let g = OFFSETS[lane + 6]!;
  let h = OFFSETS[lane + 7]!;
  const end = start + ROWS * LANES;
  for (let at = start; at < end; at += LANES) {
    a ^= words[at]!;
    b ^= words[at + 1]!;
    c ^= words[at + 2]!;
    d ^= words[at + 3]!;
    e ^= words[at + 4]!;
    f ^= words[at + 5]!;
    g ^= words[at + 6]!;
    h ^= words[at + 7]!;
    a = Math.imul(a, PRIME) ^ (a >>> 17);
    b = Math.imul(b, PRIME) ^ (b >>> 17);
    c = Math.imul(c, PRIME) ^ (c >>> 17);
    d = Math.imul(d, PRIME) ^ (d >>> 17);
    e = Math.imul(e, PRIME) ^ (e >>> 17);
    f = Math.imul(f, PRIME) ^ (f >>> 17);
    g = Math.imul(g, PRIME) ^ (g >>> 17);
    h = Math.imul(h, PRIME) ^ (h >>> 17);
  }
  return zeros(a) ^ zeros(b) ^ zeros(c) ^ zeros(d) ^ zeros(e) ^ zeros(f) ^ zeros(g) ^ zeros(h);
}
/* eslint-enable @typescript-eslint/no-non-null-assertion */

function zeros(sum: number): number {
  const once = Math.imul(sum, PRIME) ^ (sum >>> 17);
  return Math.imul(once, PRIME) ^ (once >>> 17);
}
