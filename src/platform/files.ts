import { constants } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { localIoError, systemErrorCode } from '../errors.ts';

/** Steps towards durable files. A name is durable only when its directory was synced too. */

export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** This process made no names there: it may not, or nobody can (EINVAL of fsync(2): autofs, for one). */
const NOT_OURS: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'EINVAL', 'EROFS']);

/** Makes the names of everything above a path durable: whoever made them may have died before they were. */
export async function syncAncestors(path: string): Promise<void> {
  for (let below = path; dirname(below) !== below; below = dirname(below)) {
    try {
      await syncDirectory(dirname(below));
    } catch (error) {
      if (!NOT_OURS.has(systemErrorCode(error))) throw error;
    }
  }
}

/** Makes a directory and those above it that are missing; each new name is durable when this resolves. */
export async function makeDirectories(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeDirectories(dirname(path), mode);
    await makeDirectories(path, mode);
    return;
  }
  await syncDirectory(dirname(path));
}

/** Removes what is in a directory, if it is there: never itself, since it may be a link to another disk. @throws LOCAL_IO */
export async function emptyDirectory(path: string): Promise<void> {
  try {
    for (const entry of await readdir(path)) await rm(join(path, entry), { recursive: true, force: true });
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw localIoError(error, `unable to empty ${path}`);
  }
}
