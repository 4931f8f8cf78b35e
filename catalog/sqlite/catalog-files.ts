import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';

/** Removes a catalog file and what SQLite keeps beside it. */
export function removeCatalogFiles(path: string): void {
  rmSync(path, { force: true });
  removeCompanions(path);
}

/** Removes what SQLite keeps beside a file. Only when nobody has the file open and its write-ahead log is empty. */
export function removeCompanions(path: string): void {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true });
}

/** A file or directory. */
export function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
