import { open, readdir, realpath, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { scriptPath } from '../../config/command-line.ts';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import { asUser, type LocalUser } from '../../platform/as-user.ts';
import type { InitPlaces } from './places.ts';
import { isBelow } from './is-below.ts';

/** A repository that Walden has begun has it, and no other directory. */
const REPOSITORY_FILE = 'walden.json';

export interface InitSite {
  readonly places: InitPlaces;
  readonly dataDirectory: string;
  /** What its databases take; undefined where the role may not ask. */
  readonly databaseBytes: number | undefined;
}

/**
 * Refuses places that cannot be meant.
 * @returns what the operator should know all the same
 * @throws CONFIG_INVALID (inside the data directory or a tablespace), PATH_NOT_EMPTY, STORAGE_FULL, LOCAL_IO
 */
export async function checkSite({ places, dataDirectory, databaseBytes }: InitSite): Promise<readonly string[]> {
  const { repository, stateDirectory } = places;
  for (const directory of [await realpath(dataDirectory), ...(await tablespaces(dataDirectory))]) {
    for (const path of [repository, stateDirectory]) {
      if (!isBelow(await realPathToBe(path), directory)) continue;
      throw new WaldenError('CONFIG_INVALID', `${path} lies inside ${directory}, which it is to outlive`, {
        hint: 'name another place, best on another disk: --repository DIR',
      });
    }
  }
  await assertUsable(repository);
  const site = await nearest(repository);
  const { bavail, bsize } = await statfs(site);
  if (databaseBytes !== undefined && bavail * bsize < databaseBytes) {
    throw new WaldenError(
      'STORAGE_FULL',
      `${gigabytes(bavail * bsize)} GB are free at ${repository}, and the databases take ${gigabytes(databaseBytes)} GB`,
      { hint: 'name a place with more room: --repository DIR' },
    );
  }
  const onOneDisk = (await stat(site)).dev === (await stat(dataDirectory)).dev;
  return onOneDisk
    ? [
        `${repository} lies on the disk of the data directory: what takes one takes both; --repository DIR names a better place`,
      ]
    : [];
}

/** Where root unpacks things, others often may not look. @throws STORAGE_DENIED */
export async function assertProgramsReadable(owner: LocalUser): Promise<void> {
  await asUser(owner, async () => {
    for (const path of [scriptPath('walden'), scriptPath('walden-push')]) {
      try {
        // access(2) would ask for the real user, which root remains.
        await (await open(path)).close();
      } catch (cause) {
        throw new WaldenError('STORAGE_DENIED', `the user ${owner.uid}, who runs PostgreSQL, may not read ${path}`, {
          hint: 'put Walden where everybody may read it: /opt/walden, say',
          cause,
        });
      }
    }
  });
}

/** What is there already is either a repository, or not ours to fill. */
async function assertUsable(repository: string): Promise<void> {
  try {
    const entries = await readdir(repository);
    if (entries.length === 0 || entries.includes(REPOSITORY_FILE)) return;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw localIoError(error, `unable to look into ${repository}`);
  }
  throw new WaldenError('PATH_NOT_EMPTY', `${repository} is not empty, and is no repository of Walden`, {
    hint: 'name an empty or a new directory: --repository DIR',
  });
}

async function tablespaces(dataDirectory: string): Promise<readonly string[]> {
  const links = join(dataDirectory, 'pg_tblspc');
  const names = await readdir(links).catch(() => []);
  // One whose target is gone holds nothing.
  const targets = await Promise.all(names.map((name) => realpath(join(links, name)).catch(() => undefined)));
  return targets.filter((target) => target !== undefined);
}

/** Of what is not there yet too. */
async function realPathToBe(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path)
      throw localIoError(error, `unable to look at ${path}`);
    return join(await realPathToBe(dirname(path)), basename(path));
  }
}

async function nearest(path: string): Promise<string> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere || dirname(path) === path ? path : await nearest(dirname(path));
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
