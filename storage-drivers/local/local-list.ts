import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../src/errors.ts';
import type { ObjectInfo, ObjectKey } from '../driver.ts';

/** Below the root; no part of any listing. */
export const STAGING_DIRECTORY = '.staging';

/**
 * Objects in ascending byte order of their whole keys, directory by directory: in memory is one directory per level. A
 * directory sorts as if its name ended in `/`, since that is how the keys below it go on: `a.b` comes before `a/b`.
 */
export async function* listObjects(root: string, prefix: string): AsyncGenerator<ObjectInfo> {
  yield* listDirectory(root, '', prefix);
}

async function* listDirectory(root: string, directory: string, prefix: string): AsyncGenerator<ObjectInfo> {
  for (const name of await sortedNames(join(root, directory))) {
    const key = `${directory}${name}`;
    const isDirectory = name.endsWith('/');
    if (key === `${STAGING_DIRECTORY}/`) continue;
    if (isDirectory) {
      if (key.startsWith(prefix) || prefix.startsWith(key)) yield* listDirectory(root, key, prefix);
    } else if (key.startsWith(prefix)) {
      const size = await sizeOf(join(root, key));
      if (size !== undefined) yield { key: key as ObjectKey, size };
    }
  }
}

/**
 * Files, and directories with a `/` at the end; nothing else is an object, nor is what no key can name: `lost+found` of
 * a mounted file system, an editor's copy. A directory removed meanwhile is empty.
 */
async function sortedNames(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((entry) => (entry.isFile() || entry.isDirectory()) && /^[A-Za-z0-9._-]+$/.test(entry.name))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .sort((a, b) => (a < b ? -1 : 1));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    // Removed between the listing and now.
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
