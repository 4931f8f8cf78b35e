import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IncrementReader } from '../../../src/backup/stream/increment-reader.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { BLOCK_BYTES, headerBytes } from '../../../src/postgres/incremental-file.ts';
import { encodeIncrement } from '../../support/block-history.ts';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

describe('IncrementReader', () => {
  it('knows how an increment begins and which block each page is, however it comes', () => {
    const numbers = fc.uniqueArray(fc.nat({ max: 100_000 }), { maxLength: 40 }).map((all) => all.sort((a, b) => a - b));
    const cuts = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(numbers, cuts, fc.integer({ min: 1, max: 5 }), (blocks, lengths, pages) => {
        const bytes = encodeIncrement(7, blocks, []);
        const reader = new IncrementReader('base/5/INCREMENTAL.1', bytes.length);
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = lengths[turn % lengths.length]!;
          reader.feed(bytes.subarray(at, at + length));
          at += length;
        }
        expect(reader.head).toEqual({ blocks: blocks.length, truncation: 7 });
        // As the frames of a large file: whole pages, the first ones of which hold the header.
        const found: number[] = [];
        for (let at = 0; at < bytes.length; at += pages * BLOCK_BYTES) {
          found.push(...reader.blocksIn(at, Math.min(pages * BLOCK_BYTES, bytes.length - at)));
        }
        expect(found).toEqual(blocks);
      }),
    );
  });

  it('knows the blocks of a header of several pages', () => {
    const blocks = Array.from({ length: 5000 }, (_, index) => index * 2);
    const header = encodeIncrement(7, blocks, []).subarray(0, headerBytes(blocks.length));
    const reader = new IncrementReader('base/5/INCREMENTAL.1', header.length + 5000 * BLOCK_BYTES);
    reader.feed(header.subarray(0, 9000));
    expect(reader.blocksIn(0, 8192)).toEqual([]);
    expect(codeOf(() => reader.head)).toBe('FORMAT_INVALID');
    reader.feed(header.subarray(9000));
    expect(reader.head.blocks).toBe(5000);
    expect(reader.blocksIn(header.length - BLOCK_BYTES, 4 * BLOCK_BYTES)).toEqual([0, 2, 4]);
    expect(reader.blocksIn(header.length + 4990 * BLOCK_BYTES, 20 * BLOCK_BYTES)).toEqual(blocks.slice(4990));
  });

  it('refuses what is none, before it takes memory for it', () => {
    const bytes = encodeIncrement(7, [1, 2], []);
    expect(
      codeOf(() => {
        new IncrementReader('it', bytes.length - 1).feed(bytes);
      }),
    ).toBe('FORMAT_INVALID');
    bytes.writeUInt32LE(0xffff_ffff, 4);
    expect(
      codeOf(() => {
        new IncrementReader('it', bytes.length).feed(bytes);
      }),
    ).toBe('FORMAT_INVALID');
    expect(codeOf(() => new IncrementReader('it', 0).head)).toBe('FORMAT_INVALID');
  });
});
