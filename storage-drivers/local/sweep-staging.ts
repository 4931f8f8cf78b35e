import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../src/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { STAGING_DIRECTORY } from './local-list.ts';

/** Another service's staged file of this age was left by a crash, not by work under way. */
const ABANDONED_MS = 7 * 24 * 3600 * 1000;

/** Removes what a crash left: all of this instance, and what others left long ago. */
export async function sweepStaging(root: string, instance: string): Promise<void> {
  const staging = join(root, STAGING_DIRECTORY);
  for (const other of await names(staging)) {
    if (other === instance) {
      await rm(join(staging, other), { recursive: true, force: true });
      continue;
    }
    // Behind a link lies what is not ours.
    if (!(await isDirectory(join(staging, other)))) continue;
    for (const name of await names(join(staging, other))) {
      const path = join(staging, other, name);
      const found = await lstat(path).catch(() => undefined);
      const age = found === undefined ? 0 : systemClock.now().getTime() - found.mtimeMs;
      if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true });
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

async function names(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}
