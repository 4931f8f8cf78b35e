import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../src/errors.ts';
import {
  headerBytes,
  incrementBytes,
  isIncrementPath,
  isRelationPath,
  parseIncrementBlocks,
  parseIncrementHead,
  wholePath,
} from '../../src/postgres/incremental-file.ts';
import { encodeIncrement } from '../support/block-history.ts';

function code(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return isWaldenError(error) ? error.code : error;
  }
}

describe('an increment', () => {
  it('is read, with its blocks at the next multiple of 8192 bytes', () => {
    expect(headerBytes(0)).toBe(12);
    expect(headerBytes(1)).toBe(8192);
    expect(headerBytes(2045)).toBe(8192);
    expect(headerBytes(2046)).toBe(16_384);
    const bytes = encodeIncrement(7, [2, 5, 9], [0, 0, 3, 0, 0, 4, 0, 0, 0, 5]);
    expect(bytes.length).toBe(incrementBytes({ blocks: 3, truncation: 7 }));
    expect(parseIncrementHead(bytes, bytes.length, 'it')).toEqual({ blocks: 3, truncation: 7 });
    expect([...parseIncrementBlocks(bytes, bytes.length, 'it')]).toEqual([2, 5, 9]);
    expect(parseIncrementHead(encodeIncrement(4, [], []), 12, 'it')).toEqual({ blocks: 0, truncation: 4 });
  });

  it.each([
    ['another magic number', (head: Buffer) => head.writeUInt32LE(0xd3ae1f0e, 0)],
    ['more blocks than the file has room for', (head: Buffer) => head.writeUInt32LE(0xffff_ffff, 4)],
    ['fewer blocks', (head: Buffer) => head.writeUInt32LE(1, 4)],
    ['a length that no segment has', (head: Buffer) => head.writeUInt32LE(0xffff_ffff, 8)],
    ['a block twice', (head: Buffer) => head.writeUInt32LE(2, 16)],
    ['blocks that do not ascend', (head: Buffer) => head.writeUInt32LE(1, 16)],
    ['a block beyond any segment', (head: Buffer) => head.writeUInt32LE(0xffff_ffff, 20)],
  ])('with %s is refused', (_, damage) => {
    const bytes = encodeIncrement(7, [2, 5, 9], []);
    damage(bytes);
    expect(code(() => parseIncrementBlocks(bytes, bytes.length, 'it'))).toBe('FORMAT_INVALID');
  });

  it('of any bytes and any size is read within its bounds or refused', () => {
    const head = fc.uint8Array({ minLength: 0, maxLength: 64 });
    const sound = fc.constant(encodeIncrement(7, [2, 5, 9], []).subarray(0, 64));
    const flipped = fc.tuple(sound, fc.nat({ max: 63 }), fc.nat({ max: 255 })).map(([bytes, at, value]) => {
      const copy = Buffer.from(bytes);
      copy[at] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(head, flipped), fc.constantFrom(12, 8192, 32_768, 2 ** 40), (bytes, size) => {
        const found = code(() => parseIncrementBlocks(bytes, size, 'it'));
        if (found instanceof Uint32Array) expect(12 + 4 * found.length).toBeLessThanOrEqual(bytes.length);
        else expect(found).toBe('FORMAT_INVALID');
      }),
      { numRuns: 5000 },
    );
  });

  it('is one by its place and name only', () => {
    for (const path of [
      'base/5/INCREMENTAL.1259',
      'global/INCREMENTAL.1262_vm',
      'pg_tblspc/16384/PG_17_1/5/INCREMENTAL.7',
    ]) {
      expect([isIncrementPath(path), isRelationPath(path)], path).toEqual([true, true]);
    }
    expect(wholePath('base/5/INCREMENTAL.1259_vm.1')).toBe('base/5/1259_vm.1');
    for (const path of [
      'INCREMENTAL.conf',
      'base/INCREMENTAL.5',
      'base/5/x/INCREMENTAL.1',
      'pg_xact/INCREMENTAL.0000',
      'base/5/1259',
    ]) {
      expect([isIncrementPath(path), wholePath(path)], path).toEqual([false, path]);
    }
  });
});
