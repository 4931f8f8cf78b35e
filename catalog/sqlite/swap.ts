import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { carryOver } from './carry-over.ts';
import { removeCatalogFiles, removeCompanions, syncPath } from './catalog-files.ts';
import type { Changes } from './changes.ts';
import { foldWriteAheadLog } from './fold-log.ts';
import { openTables, type Tables } from './tables.ts';

/** `failure`: why the swap did not happen; `tables` are then the old catalog's again. */
export interface Swapped {
  readonly tables: Tables;
  readonly failure: unknown;
}

/** The new catalog, while it is filled. */
export function nextPath(path: string): string {
  return `${path}.next`;
}

function oldPath(path: string): string {
  return `${path}.old`;
}

/**
 * Removes what a rebuild left that was killed: neither is needed, since whatever stands at `path` is whole. Only when nobody
 * else has the catalog open.
 */
export function sweepReplacements(path: string): void {
  removeCatalogFiles(nextPath(path));
  removeCatalogFiles(oldPath(path));
}

/**
 * Puts the closed catalog file `next` in the place of the open one at `path` and opens it. Both must stand in one
 * directory. The new file is whole and on disk before the old one is closed, and takes its name in one rename: a crash at
 * any point leaves one of the two at `path`.
 * @throws what came before the old catalog was closed: it goes on, untouched
 */
export function swapFiles(open: Tables, path: string, next: string, changes: Changes): Swapped {
  finishFile(open, next, changes);
  foldWriteAheadLog(open.database);
  const old = oldPath(path);
  removeCatalogFiles(old);
  linkSync(path, old);
  open.database.close();
  try {
    // Empty by now, but never to be read as the log of the new file.
    removeCompanions(path);
    renameSync(next, path);
    syncPath(dirname(path));
    const tables = openTables(path, 'each-call');
    rmSync(old, { force: true });
    return { tables, failure: undefined };
  } catch (failure) {
    if (existsSync(old)) {
      removeCompanions(path);
      renameSync(old, path);
      // The same file under both names is not renamed by POSIX, and must not stay twice.
      rmSync(old, { force: true });
    }
    return { tables: openTables(path, 'each-call'), failure };
  }
}

/** Takes over what only the running catalog knows, and leaves one file without a write-ahead log, on disk. */
function finishFile(open: Tables, next: string, changes: Changes): void {
  const tables = openTables(next, 'each-call');
  try {
    carryOver(open, tables, changes);
    foldWriteAheadLog(tables.database);
  } finally {
    tables.database.close();
  }
  removeCompanions(next);
  syncPath(next);
}
