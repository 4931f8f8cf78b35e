import { chmod, chown, lchown, mkdir, rename, symlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { WaldenError } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import { isEntryPath, type ManifestDirectory } from '../repository/manifest.ts';
import type { TablespacePlace } from './tablespaces.ts';
import { asLocalError, type Owner } from './target-directory.ts';

/** Where a restore puts its files. */
export interface RestorePlaces {
  readonly dataDirectory: string;
  readonly tablespaces: readonly TablespacePlace[];
  readonly owner: Owner | undefined;
}

export const CONTROL_FILE = 'global/pg_control';

function pendingControlFile(dataDirectory: string): string {
  return join(dataDirectory, `${CONTROL_FILE}.walden-incomplete`);
}

/** Where the one of before stands until a delta restore removes it with all else that the backup does not have. */
export function retiredControlFile(dataDirectory: string): string {
  return join(dataDirectory, `${CONTROL_FILE}.walden-old`);
}

/** The last step of all: from here on PostgreSQL can start from this directory. */
export async function publishControlFile(dataDirectory: string): Promise<void> {
  try {
    await rename(pendingControlFile(dataDirectory), join(dataDirectory, CONTROL_FILE));
    await syncDirectory(join(dataDirectory, 'global'));
  } catch (error) {
    throw asLocalError(error, `unable to put ${CONTROL_FILE} into place`);
  }
}

/** The directories of the backup and the links to its tablespaces. @returns every directory that gets entries */
export async function makeDirectories(
  places: RestorePlaces,
  directories: readonly ManifestDirectory[],
): Promise<readonly string[]> {
  const { dataDirectory, tablespaces, owner } = places;
  const made = [dataDirectory, ...tablespaces.map(({ location }) => location)];
  try {
    // Parents sort before what they hold. A directory that is named twice is made once.
    const links = { path: 'pg_tblspc', mode: 0o700 };
    for (const { path, mode } of [links, ...directories].sort((a, b) => (a.path < b.path ? -1 : 1))) {
      const target = targetPath(places, path);
      await mkdir(target, { recursive: true, mode: 0o700 });
      if (owner !== undefined) await chown(target, owner.uid, owner.gid);
      await chmod(target, mode & 0o777);
      made.push(target);
    }
    for (const { oid, location } of tablespaces) {
      const link = join(dataDirectory, 'pg_tblspc', `${oid}`);
      await symlink(location, link);
      if (owner !== undefined) await lchown(link, owner.uid, owner.gid);
    }
    // initdb --allow-group-access marks the whole tree: PostgreSQL takes 0700 and 0750 only.
    const group = directories.find(({ path }) => path === 'global');
    if (group !== undefined && (group.mode & 0o050) === 0o050) await chmod(dataDirectory, 0o750);
  } catch (error) {
    throw asLocalError(error, `unable to make the directories of ${dataDirectory}`);
  }
  return made;
}

/** Where an entry goes; pg_control, without which PostgreSQL does not start, under a temporary name. Paths come from outside: what would leave the directory is refused here once more. */
export function targetPath({ dataDirectory, tablespaces }: RestorePlaces, path: string): string {
  if (!isEntryPath(path)) throw new WaldenError('FORMAT_INVALID', `${JSON.stringify(path)} leads out of the directory`);
  if (path === CONTROL_FILE) return pendingControlFile(dataDirectory);
  const inTablespace = /^pg_tblspc\/(\d+)\/(.+)$/.exec(path);
  const place = tablespaces.find(({ oid }) => `${oid}` === inTablespace?.[1]);
  const [root, below] = place === undefined ? [dataDirectory, path] : [place.location, inTablespace?.[2] ?? ''];
  const target = join(root, below);
  if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new WaldenError('INTERNAL', `${JSON.stringify(path)} leads out of ${root}`);
  }
  return target;
}
