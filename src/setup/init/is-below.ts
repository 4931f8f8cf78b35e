import { relative } from 'node:path';

/** Whether a path is a directory or something in it; both absolute, and followed to their ends. */
export function isBelow(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || (way !== '..' && !way.startsWith('../') && !way.startsWith('/'));
}
