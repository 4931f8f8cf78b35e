import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, open } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { WaldenHarness } from './walden.ts';

/** What stands in a local repository, seen from outside. */

/** Every file below a directory, relative to it, sorted. */
export function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

/** Path of the object of a segment of cluster `main`. */
export function segmentObject(walden: WaldenHarness, segment: string, repository = 'local'): string {
  const [timeline, log] = [segment.slice(0, 8), segment.slice(8, 16)];
  return join(walden.repositoryPath(repository), 'main', 'wal', timeline, log, `${segment}.zst`);
}

/** Paths of the packs of a backup of cluster `main`. */
export function packObjects(walden: WaldenHarness, backup: string): readonly string[] {
  const directory = join(walden.repositoryPath(), 'main', 'base', backup, 'data');
  return filesBelow(directory).map((name) => join(directory, name));
}

export function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Turns one byte in the middle of a file around, whatever its permissions are. */
export async function damage(path: string, offset = Math.floor(statSync(path).size / 2)): Promise<void> {
  await chmod(path, 0o600);
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 0xff;
    await file.write(byte, 0, 1, offset);
  } finally {
    await file.close();
  }
}
