import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { useMemory } from './used-memory.ts';

/** Of all files below a directory. */
export function bytesBelow(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + lstatSync(join(entry.parentPath, entry.name)).size, 0);
}

/**
 * Before each turn, so that all begin alike: memory is in use, what is to be read is in the page cache, what others wrote is
 * on the disk.
 */
export function settleDisk(toRead: string): void {
  useMemory();
  execFileSync('/bin/sh', ['-c', 'find "$0" -type f -exec cat {} + >/dev/null; sync', toRead], { timeout: 600_000 });
}
