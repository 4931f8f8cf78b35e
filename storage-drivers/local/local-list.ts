import type { Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import type { ObjectInfo, ObjectKey } from '../driver.ts';

/** Below the root; no part of any listing. */
export const STAGING_DIRECTORY = '.staging';

const OBJECT_NAME = /^[A-Za-z0-9._-]+$/;

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
    await refuseLinkedDirectories(entries.filter((entry) => entry.isSymbolicLink() && OBJECT_NAME.test(entry.name)));
    return entries
      .filter((entry) => (entry.isFile() || entry.isDirectory()) && OBJECT_NAME.test(entry.name))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .sort((a, b) => (a < b ? -1 : 1));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Objects behind such a link can be stored and read, so a listing that leaves them out would say that they are not there. */
async function refuseLinkedDirectories(links: readonly Dirent[]): Promise<void> {
  for (const { parentPath, name } of links) {
    const path = join(parentPath, name);
    const target = await stat(path).catch(() => undefined);
    if (target?.isDirectory() !== true) continue;
    throw new WaldenError('STORAGE_UNAVAILABLE', `${path} is a link to a directory`, {
      hint: 'a repository is one tree without links: mount the other directory there, or move the repository as a whole',
    });
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
