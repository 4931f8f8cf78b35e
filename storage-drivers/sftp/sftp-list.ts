import { posix } from 'node:path';
import type { FileEntryWithStats } from 'ssh2';
import { WaldenError } from '../../src/errors.ts';
import type { ObjectInfo, ObjectKey } from '../driver.ts';
import type { RemoteFiles } from './remote-files.ts';
import { isAbsent } from './sftp-errors.ts';

/** Below the root; no part of any listing. */
export const STAGING_DIRECTORY = '.staging';

const OBJECT_NAME = /^[A-Za-z0-9._-]+$/;

interface Wanted {
  readonly prefix: string;
  /** Only what is behind it. */
  readonly after: string;
}

/**
 * Objects in ascending byte order of their whole keys, directory by directory: in memory is one directory per level. A
 * directory sorts as if its name ended in `/`, since that is how the keys below it go on: `a.b` comes before `a/b`.
 */
export async function* listObjects(files: RemoteFiles, root: string, wanted: Wanted): AsyncGenerator<ObjectInfo> {
  yield* listDirectory(files, root, '', wanted);
}

async function* listDirectory(
  files: RemoteFiles,
  root: string,
  directory: string,
  wanted: Wanted,
): AsyncGenerator<ObjectInfo> {
  const { prefix, after } = wanted;
  for (const { name, size } of await sortedEntries(files, posix.join(root, directory))) {
    const key = `${directory}${name}`;
    if (key === `${STAGING_DIRECTORY}/`) continue;
    if (name.endsWith('/')) {
      const mayHold = key.startsWith(prefix) || prefix.startsWith(key);
      // All that is below begins with the key, so it lies before `after` as the key does.
      if (mayHold && (key > after || after.startsWith(key))) yield* listDirectory(files, root, key, wanted);
    } else if (key.startsWith(prefix) && key > after) {
      yield { key: key as ObjectKey, size };
    }
  }
}

interface Entry {
  readonly name: string;
  readonly size: number;
}

/**
 * Files, and directories with a `/` at the end; nothing else is an object, nor is what no key can name: `lost+found` of
 * a mounted file system, an editor's copy. A directory removed meanwhile is empty.
 */
async function sortedEntries(files: RemoteFiles, directory: string): Promise<readonly Entry[]> {
  try {
    const found = (await files.readDirectory(directory)).filter(({ filename }) => OBJECT_NAME.test(filename));
    await refuseLinkedDirectories(files, directory, found);
    return found
      .filter(({ attrs }) => attrs.isFile() || attrs.isDirectory())
      .map(({ filename, attrs }) => ({ name: attrs.isDirectory() ? `${filename}/` : filename, size: attrs.size }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** Objects behind such a link can be stored and read, so a listing that leaves them out would say that they are not there. */
async function refuseLinkedDirectories(
  files: RemoteFiles,
  directory: string,
  found: readonly FileEntryWithStats[],
): Promise<void> {
  for (const { filename } of found.filter(({ attrs }) => attrs.isSymbolicLink())) {
    const path = posix.join(directory, filename);
    if (!(await files.isDirectory(path))) continue;
    throw new WaldenError('STORAGE_UNAVAILABLE', `${path} is a link to a directory`, {
      hint: 'a repository is one tree without links: mount the other directory there, or move the repository as a whole',
    });
  }
}
