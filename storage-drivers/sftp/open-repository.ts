import { posix } from 'node:path';
import { WaldenError } from '../../src/errors.ts';
import type { StoreAccess } from '../registry.ts';
import { makeMarker, Presence } from './presence.ts';
import { type Abilities, tryAbilities } from './publish.ts';
import { canSyncDirectories, makeDirectories, RemoteDirectories } from './remote-directories.ts';
import type { RemoteFiles } from './remote-files.ts';
import { STAGING_DIRECTORY } from './sftp-list.ts';
import { SftpStaging } from './sftp-staging.ts';
import { withReason } from './why-refused.ts';

/** One repository's place on the server. */
export interface Repository {
  readonly root: string;
  readonly abilities: Abilities;
  readonly staging: SftpStaging;
  readonly directories: RemoteDirectories;
  readonly presence: Presence;
}

/** @throws STORAGE_UNAVAILABLE when there is no root, and none may be made */
export async function openRepository(files: RemoteFiles, root: string, access: StoreAccess): Promise<Repository> {
  const staging = new SftpStaging(root);
  if (access === 'read-only') {
    if (!(await files.isDirectory(root))) {
      throw new WaldenError('STORAGE_UNAVAILABLE', `the server has no directory ${root}`, {
        hint: 'correct path in the configuration, or mount it on the server',
      });
    }
    return {
      root,
      staging,
      abilities: { links: false, replaces: false },
      // A reader touches nothing, so it can promise nothing either.
      directories: new RemoteDirectories(root, { canSync: false }),
      presence: await Presence.of(files, root),
    };
  }
  await makeDirectories(files, root);
  return await withReason(files, root, async () => {
    const canSync = await canSyncDirectories(files, root);
    const directories = new RemoteDirectories(root, { canSync });
    await staging.make(files);
    await makeMarker(files, root);
    await directories.settle(files, posix.join(root, STAGING_DIRECTORY));
    if (canSync) await syncAncestors(files, root);
    const { abilities, now } = await tryAbilities(files, staging);
    await staging.sweep(files, now);
    return { root, staging, abilities, directories, presence: await Presence.of(files, root) };
  });
}

/** The root may be there because an earlier start made it, and died before its name was durable. */
async function syncAncestors(files: RemoteFiles, root: string): Promise<void> {
  for (let path = root; path !== '/'; path = posix.dirname(path)) {
    // What this user may not read was not made by this user.
    await canSyncDirectories(files, posix.dirname(path));
  }
}
