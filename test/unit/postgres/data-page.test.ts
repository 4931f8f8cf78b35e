import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocatePages, DATA_PAGE_BYTES, findBadPages } from '../../../src/postgres/data-page.ts';

/** checksumBaseOffsets of checksum_impl.h. */
const BASE_OFFSETS = [
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
];

/** pg_checksum_page as its comment describes it, lane by lane and word by word. */
function checksumOf(page: Buffer, block: number): number {
  const cleared = Buffer.from(page);
  cleared.writeUInt16LE(0, 8);
  const step = (sum: number, word: number) => Math.imul(sum ^ word, 16777619) ^ ((sum ^ word) >>> 17);
  const lanes = BASE_OFFSETS.map((offset, lane) => {
    let sum = offset;
    for (let at = lane * 4; at < DATA_PAGE_BYTES; at += 32 * 4) sum = step(sum, cleared.readUInt32LE(at));
    return step(step(sum, 0), 0);
  });
  const folded = lanes.reduce((all, lane) => all ^ lane, 0);
  return (((folded ^ block) >>> 0) % 65535) + 1;
}

/** Pages of noise as PostgreSQL would have written them from this block on. */
function pagesFrom(firstBlock: number, count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count * DATA_PAGE_BYTES);
  let state = seed | 1;
  for (let at = 0; at < bytes.length; at += 4) {
    // Marsaglia's xorshift.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state, at);
  }
  for (let index = 0; index < count; index += 1) {
    const page = pageOf(bytes, index);
    page.writeUInt16LE(DATA_PAGE_BYTES, 14);
    page.writeUInt16LE(checksumOf(page, firstBlock + index), 8);
  }
  return bytes;
}

function pageOf(bytes: Buffer, index: number): Buffer {
  return bytes.subarray(index * DATA_PAGE_BYTES, (index + 1) * DATA_PAGE_BYTES);
}

const ROOM_BYTES = 5 * DATA_PAGE_BYTES;
const memory = allocatePages(ROOM_BYTES);

/** The same bytes where they are checked in place and where they are copied, as far from an aligned address as asked. */
function placed(bytes: Buffer, shift: number): readonly Buffer[] {
  return [memory, Buffer.alloc(ROOM_BYTES)].map((room) => {
    const place = room.fill(0xee).subarray(shift, shift + bytes.length);
    bytes.copy(place);
    return place;
  });
}

const seeds = fc.integer();
const blocks = fc.oneof(fc.constantFrom(0, 131071, 131072, 0x7fff_fffe, 0xffff_fffb), fc.nat(0xffff_fffb));
const shifts = fc.nat(DATA_PAGE_BYTES);

// Seeded: one change in 65535 leaves the checksum as it was.
describe('the checksum of data pages', () => {
  it('is the one that PostgreSQL computes, wherever the pages lie, and they are left as they were', () => {
    const property = fc.property(seeds, blocks, shifts, fc.nat(100), (seed, block, shift, partial) => {
      const bytes = Buffer.concat([pagesFrom(block, 3, seed), Buffer.alloc(partial, 1)]);
      for (const place of placed(bytes, shift)) {
        expect(findBadPages(place, block)).toEqual([]);
        expect(findBadPages(place, block ^ 0x10)).toHaveLength(3);
        expect(place.equals(bytes)).toBe(true);
      }
    });
    fc.assert(property, { seed: 1, numRuns: 50 });
  });

  it('tells a page with one bit changed, at any place', () => {
    const bit = fc.nat(DATA_PAGE_BYTES * 8 - 1);
    const property = fc.property(seeds, blocks, shifts, bit, (seed, block, shift, changed) => {
      const bytes = pagesFrom(block, 3, seed);
      const at = DATA_PAGE_BYTES + (changed >>> 3);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (changed & 7)), at);
      for (const place of placed(bytes, shift)) expect(findBadPages(place, block)).toEqual([block + 1]);
    });
    fc.assert(property, { seed: 1, numRuns: 50 });
  });

  it('is that of a page whose sum is known', () => {
    const page = Buffer.alloc(DATA_PAGE_BYTES, 'PostgreSQL');
    page.writeUInt16LE(0xd727, 8);
    for (const place of placed(page, 0)) expect(findBadPages(place, 42)).toEqual([]);
  });

  it('is not asked of a new page, all of which must be zero', () => {
    const bytes = Buffer.concat([Buffer.alloc(2 * DATA_PAGE_BYTES), pagesFrom(2, 1, 1)]);
    // The second has lost its header only.
    bytes.writeUInt8(1, 2 * DATA_PAGE_BYTES - 1);
    for (const place of placed(bytes, 4)) expect(findBadPages(place, 0)).toEqual([1]);
  });

  it('is found in several memories at once', () => {
    const other = allocatePages(2 * DATA_PAGE_BYTES);
    pagesFrom(0, 2, 1).copy(other);
    pagesFrom(7, 2, 2).copy(memory);
    expect(findBadPages(other, 0)).toEqual([]);
    expect(findBadPages(memory.subarray(0, other.length), 7)).toEqual([]);
  });

  it('is not to be had where there is no room for it', () => {
    expect(() => allocatePages(2 ** 40)).toThrow(expect.objectContaining({ code: 'LOCAL_IO' }));
  });

  it('is not asked of less than a page', () => {
    for (const place of placed(Buffer.alloc(DATA_PAGE_BYTES - 1, 1), 1)) expect(findBadPages(place, 0)).toEqual([]);
  });
});
