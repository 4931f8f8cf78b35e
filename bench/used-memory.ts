import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A virtual machine may give memory that is free back to its host (free page reporting of virtio-balloon): the next who
 * takes it waits for the host, up to ten times as long as for the work itself (8 MB to a new file: 20 ms where 2 are usual),
 * and who that is is chance. On a machine that has been up for a while hardly any memory is free: it holds pages of files.
 * So this machine's does before each turn.
 */
const SURPLUS_BYTES = 512 * 1024 ** 2;
/** Larger than any machine's memory is needed: what was read once is not read again. */
const HOLE_BYTES = 2 ** 43;
const PIECE = Buffer.allocUnsafeSlow(4 * 1024 ** 2);

let hole: { readonly descriptor: number; position: number } | undefined;

/** Fills free memory with pages of a file that has none on the disk, which are the first to go when memory is needed. */
export function useMemory(): void {
  hole ??= { descriptor: openHole(), position: 0 };
  // More than is free, so that nothing is left that was never touched.
  for (let left = freeBytes() + SURPLUS_BYTES; left > 0; left -= PIECE.byteLength) {
    readSync(hole.descriptor, PIECE, { position: hole.position });
    hole.position = (hole.position + PIECE.byteLength) % HOLE_BYTES;
  }
}

function openHole(): number {
  const directory = mkdtempSync(join(tmpdir(), 'walden-bench-'));
  const path = join(directory, 'hole');
  try {
    closeSync(openSync(path, 'w'));
    truncateSync(path, HOLE_BYTES);
    return openSync(path, 'r');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function freeBytes(): number {
  return Number(/^MemFree:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
}
