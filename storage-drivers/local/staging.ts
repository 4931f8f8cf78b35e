import { lstat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../src/errors.ts';
import { makeDirectories, syncDirectory, syncFile } from '../../src/platform/files.ts';
import { STAGING_DIRECTORY } from './local-list.ts';
import { sweepStaging } from './sweep-staging.ts';

/**
 * A file that is there as long as the store is. The root alone proves nothing: the mount point of a share that is gone
 * is an empty directory, and whoever stages a file may make the directories above it anew.
 */
export function markerPath(root: string): string {
  return join(root, STAGING_DIRECTORY, 'present');
}

/**
 * Tells this marker from one that stands below the mount point of the same share; stays the same when the share comes back.
 * Undefined where there is none: a repository that was copied without its staging directory.
 */
export async function markerIdentity(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await lstat(path, { bigint: true });
    return `${ino} ${mtimeNs}`;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Sweeps what a crash left, and makes the staging directory of this instance and the marker, durably. */
export async function prepareStaging(root: string, instance: string): Promise<void> {
  await sweepStaging(root, instance);
  await makeDirectories(join(root, STAGING_DIRECTORY, instance), 0o750);
  if ((await markerIdentity(markerPath(root))) !== undefined) return;
  await writeFile(markerPath(root), 'The store is mounted as long as this file is here.\n', { mode: 0o640 });
  await syncFile(markerPath(root));
  await syncDirectory(join(root, STAGING_DIRECTORY));
}
