import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from '../errors.ts';

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

/**
 * Makes the names of everything above a path durable: whoever made them may have died before they were. What this process
 * may not open, it did not make.
 */
export async function syncAncestors(path: string): Promise<void> {
  for (let below = path; dirname(below) !== below; below = dirname(below)) {
    try {
      await syncDirectory(dirname(below));
    } catch (error) {
      if (!['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '')) throw error;
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
