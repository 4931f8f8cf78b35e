import { describe, expect, it } from 'vitest';
import { copyBytes } from '../../../src/platform/copy-bytes.ts';

describe('copyBytes', () => {
  it('copies from and to shared memory, and touches nothing beside', () => {
    const source = Buffer.from(new SharedArrayBuffer(100_000));
    for (let at = 0; at < source.length; at += 1) source[at] = at % 251;
    const target = Buffer.from(new SharedArrayBuffer(100_010)).fill(0xff);
    copyBytes(source, target, 7);
    expect(target.subarray(7, -3).equals(source)).toBe(true);
    expect([...target.subarray(0, 7), ...target.subarray(-3)].every((byte) => byte === 0xff)).toBe(true);
  });

  it('copies a part of a view', () => {
    const target = Buffer.alloc(4);
    copyBytes(new Uint8Array(new SharedArrayBuffer(8)).fill(9, 2, 4).subarray(2, 4), target, 1);
    expect([...target]).toEqual([0, 9, 9, 0]);
  });

  it('copies nothing of nothing', () => {
    const target = Buffer.from([1, 2]);
    copyBytes(new Uint8Array(0), target, 2);
    expect([...target]).toEqual([1, 2]);
  });

  it('refuses what does not fit, and leaves the target as it is', () => {
    const target = Buffer.from([1, 2]);
    expect(() => {
      copyBytes(Buffer.from([3, 4]), target, 1);
    }).toThrow(RangeError);
    expect([...target]).toEqual([1, 2]);
  });
});
