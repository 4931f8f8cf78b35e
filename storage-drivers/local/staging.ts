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

/** A repository that was copied without its staging directory has none. */
export async function hasMarker(root: string): Promise<boolean> {
  try {
    return (await lstat(markerPath(root))).isFile();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Sweeps what a crash left, and makes the staging directory of this instance and the marker, durably. */
export async function prepareStaging(root: string, instance: string): Promise<void> {
  await sweepStaging(root, instance);
  await makeDirectories(join(root, STAGING_DIRECTORY, instance), 0o750);
  if (await hasMarker(root)) return;
  await writeFile(markerPath(root), 'The store is mounted as long as this file is here.\n', { mode: 0o640 });
  await syncFile(markerPath(root));
  await syncDirectory(join(root, STAGING_DIRECTORY));
}
