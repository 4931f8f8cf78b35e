import { chown, mkdtemp, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import { asUser, type LocalUser } from '../../platform/as-user.ts';
import { makeDirectories } from '../../platform/files.ts';
import type { FoundServer } from './find-servers.ts';

/** The user of PostgreSQL, as whom Walden runs. */
export interface ServerOwner extends LocalUser {
  /** Whether this process is root, and has to step back for what the owner does. */
  readonly isRoot: boolean;
}

/** @throws USAGE for a user who is neither root nor the owner */
export function serverOwner({ uid, gid, dataDirectory }: FoundServer): ServerOwner {
  const own = process.geteuid?.();
  if (own === uid || own === 0) return { uid, gid, isRoot: own === 0 && uid !== 0 };
  throw new WaldenError('USAGE', `${dataDirectory} belongs to the user ${uid}, and this is the user ${String(own)}`, {
    hint: 'run it as root, or as the user of PostgreSQL: sudo -u postgres walden init',
  });
}

/**
 * Makes a directory of the owner, if it is not there. One that is there stays as it is.
 * @throws STORAGE_DENIED when the owner may not write to it; LOCAL_IO
 */
export async function makeOwnDirectory(path: string, mode: number, owner: ServerOwner): Promise<void> {
  try {
    const isThere = await stat(path).then(
      () => true,
      (error: unknown) => {
        if (systemErrorCode(error) === 'ENOENT') return false;
        throw error;
      },
    );
    if (!isThere) {
      await makeDirectories(dirname(path), 0o755);
      await makeDirectories(path, mode);
      if (owner.isRoot) await chown(path, owner.uid, owner.gid);
    }
  } catch (error) {
    throw localIoError(error, `unable to make the directory ${path}`, { hint: AS_ROOT });
  }
  await asUser(owner, async () => {
    // access(2) would ask for the real user, which root remains.
    try {
      await rmdir(await mkdtemp(join(path, '.walden-init-')));
    } catch (cause) {
      throw new WaldenError('STORAGE_DENIED', `the user ${owner.uid} may not write to ${path}`, {
        hint: 'let it belong to the user of PostgreSQL, as whom the service runs',
        cause,
      });
    }
  });
}

export const AS_ROOT = 'run it as root, or name a place of your own: --config FILE';
