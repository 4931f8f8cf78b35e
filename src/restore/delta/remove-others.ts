import type { Dirent } from 'node:fs';
import { readdir, readlink, rmdir, unlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CONTROL_FILE, type RestorePlaces, retiredControlFile } from '../places.ts';
import { asLocalError, MARKER } from '../target-directory.ts';
import type { PathSet } from './path-set.ts';

/** What the backup has. */
export interface WantedPaths {
  readonly files: PathSet;
  readonly directories: PathSet;
}

export interface Removed {
  readonly files: number;
  /** Links other than those of tablespaces; what they led to was left as it is. */
  readonly links: readonly { readonly path: string; readonly to: string }[];
}

const RETIRED = relative('/', retiredControlFile('/'));
/** Of a file system, where it was made for this directory alone. */
const LOST_AND_FOUND = 'lost+found';

/**
 * Removes what the backup does not have, and whatever stands under the name of something of another kind. Links are removed,
 * never followed, but for `pg_wal` (initdb --waldir), which stays one: what it leads to is emptied. Of a tablespace's
 * directory only what PostgreSQL of this version has made is touched: another one may use it too.
 * @param isOurs a name at the top of the data directory that is of this restore. @throws LOCAL_IO
 */
export async function removeOthers(
  { dataDirectory, tablespaces }: RestorePlaces,
  wanted: WantedPaths,
  isOurs: (name: string) => boolean,
  signal: AbortSignal,
): Promise<Removed> {
  const sweep = new Sweep(wanted, signal);
  try {
    for (const entry of await entriesOf(dataDirectory)) {
      if (entry.name === MARKER || entry.name === LOST_AND_FOUND || isOurs(entry.name)) continue;
      if (entry.name === 'pg_wal' && entry.isSymbolicLink())
        await sweep.directory(join(dataDirectory, 'pg_wal'), 'pg_wal');
      else await sweep.entry(dataDirectory, '', entry);
    }
    for (const { oid, location } of tablespaces) {
      const path = `pg_tblspc/${oid}`;
      for (const entry of await entriesOf(location)) {
        if (wanted.directories.has(`${path}/${entry.name}`)) await sweep.entry(location, `${path}/`, entry);
      }
    }
  } catch (error) {
    throw asLocalError(error, `unable to remove what the backup does not have from ${dataDirectory}`);
  }
  return sweep.removed;
}

class Sweep {
  readonly removed: { files: number; links: { path: string; to: string }[] } = { files: 0, links: [] };
  readonly #wanted: WantedPaths;
  readonly #signal: AbortSignal;

  constructor(wanted: WantedPaths, signal: AbortSignal) {
    this.#wanted = wanted;
    this.#signal = signal;
  }

  /** What is in it, itself not. @param path as in the manifest */
  async directory(directory: string, path: string): Promise<void> {
    this.#signal.throwIfAborted();
    for (const entry of await entriesOf(directory)) {
      if (path === 'pg_wal' && entry.name === LOST_AND_FOUND) continue;
      await this.entry(directory, `${path}/`, entry);
    }
  }

  /** @param prefix of its path in the manifest */
  async entry(directory: string, prefix: string, entry: Dirent): Promise<void> {
    const [full, path] = [join(directory, entry.name), `${prefix}${entry.name}`];
    if (entry.isDirectory()) {
      await this.directory(full, path);
      if (!this.#wanted.directories.has(path)) await rmdir(full);
      return;
    }
    if (entry.isFile() && path !== CONTROL_FILE && this.#wanted.files.has(path)) return;
    if (entry.isSymbolicLink()) {
      if (prefix !== 'pg_tblspc/') this.removed.links.push({ path, to: await readlink(full) });
    } else if (path !== RETIRED) {
      this.removed.files += 1;
    }
    await unlink(full);
  }
}

async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  return await readdir(directory, { withFileTypes: true });
}
