import { readSync } from 'node:fs';

/** Fills a buffer from a place in an open file; less than all of it only where the file ends. @returns how many bytes */
export function fillBuffer(descriptor: number, into: Uint8Array, position: number): number {
  let filled = 0;
  while (filled < into.byteLength) {
    const count = readSync(descriptor, into, filled, into.byteLength - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
