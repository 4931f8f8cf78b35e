import { posix } from 'node:path';
import { WaldenError } from '../../src/errors.ts';
import type { RemoteFiles } from './remote-files.ts';
import { STAGING_DIRECTORY } from './sftp-list.ts';
import { isAbsent } from './sftp-errors.ts';
import { writeBytes } from './write-file.ts';

const MARKER = 'The store is mounted as long as this file is here.\n';

/**
 * Whether the repository is there at all. The root alone proves nothing: the mount point of a share that is gone is an empty
 * directory. So a marker is looked at, which a read-only opening may not find: a copy of a repository without it.
 */
export class Presence {
  readonly #root: string;
  readonly #marker: string;
  /** Of the marker that was there at the beginning, if there was one. */
  readonly #identity: string | undefined;

  static async of(files: RemoteFiles, root: string): Promise<Presence> {
    return new Presence(root, await identityOf(files, markerPath(root)));
  }

  private constructor(root: string, identity: string | undefined) {
    this.#root = root;
    this.#marker = markerPath(root);
    this.#identity = identity;
  }

  /** @throws STORAGE_UNAVAILABLE when it is not there, or another is in its place */
  async assert(files: RemoteFiles): Promise<void> {
    if (this.#identity === undefined) {
      if (await files.isDirectory(this.#root)) return;
    } else {
      if ((await identityOf(files, this.#marker)) === this.#identity) return;
    }
    throw new WaldenError('STORAGE_UNAVAILABLE', `the repository directory ${this.#root} is not there`, {
      hint: 'mount it on the server, or correct path in the configuration',
    });
  }
}

/** Makes the marker where there is none. */
export async function makeMarker(files: RemoteFiles, root: string): Promise<void> {
  const path = markerPath(root);
  if ((await identityOf(files, path)) !== undefined) return;
  try {
    await writeBytes(files, path, Buffer.from(MARKER));
  } catch (error) {
    // Another has just made it.
    if ((await identityOf(files, path)) === undefined) throw error;
  }
}

function markerPath(root: string): string {
  return posix.join(root, STAGING_DIRECTORY, 'present');
}

/** Tells this marker from one below the mount point of the same share; stays the same when the share comes back. */
async function identityOf(files: RemoteFiles, path: string): Promise<string | undefined> {
  try {
    const { mtime, size } = await files.stat(path);
    return `${mtime} ${size}`;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
