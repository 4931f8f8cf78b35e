import { describe, expect, it } from 'vitest';
import { SharedRooms } from '../../../src/platform/shared-rooms.ts';

const MEBIBYTE = 1024 ** 2;

describe('shared rooms', () => {
  it('are used again, the last first, where they are large enough', () => {
    const rooms = new SharedRooms(2);
    const [small, large, third] = [rooms.take(1), rooms.take(3 * MEBIBYTE), rooms.take(2 * MEBIBYTE)];
    for (const room of [large, small]) rooms.give(room);
    expect(rooms.take(MEBIBYTE)).toBe(small);
    expect(rooms.take(MEBIBYTE + 1)).toBe(large);
    expect(rooms.take(1)).not.toBe(third);
  });

  it('stay no more than so many', () => {
    const rooms = new SharedRooms(1);
    const [first, second] = [rooms.take(1), rooms.take(1)];
    rooms.give(first);
    rooms.give(second);
    expect(rooms.take(1)).toBe(second);
    expect(rooms.take(1)).not.toBe(first);
  });

  it('hold no memory for long when they are not given back', async () => {
    const rooms = new SharedRooms(4);
    const before = process.memoryUsage().rss;
    let most = 0;
    // As when a store is away, and each file is tried again and again.
    for (let attempt = 0; attempt < 200; attempt += 1) {
      new Uint8Array(rooms.take(16 * MEBIBYTE)).fill(1);
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, process.memoryUsage().rss - before);
    }
    expect(most).toBeLessThan(400 * MEBIBYTE);
  });
});
