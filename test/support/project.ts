import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

/** The directory of package.json, found upwards from here (sources and compiled tests stand at different depths). */
export const projectDirectory = findUpwards(import.meta.dirname);

function findUpwards(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error('no package.json above the tests');
  return findUpwards(parent);
}

const NOT_SOURCES = new Set(['node_modules', 'dist', '.git', 'coverage']);

/** Every file of the project that is not built or installed, relative to it, sorted. */
export function projectFiles(): readonly string[] {
  return readdirSync(projectDirectory, { withFileTypes: true })
    .filter((entry) => !NOT_SOURCES.has(entry.name))
    .flatMap((entry) => {
      if (!entry.isDirectory()) return entry.isFile() ? [entry.name] : [];
      return readdirSync(join(projectDirectory, entry.name), { recursive: true, withFileTypes: true })
        .filter((inner) => inner.isFile())
        .map((inner) => relative(projectDirectory, join(inner.parentPath, inner.name)))
        .filter((file) => !file.split(sep).includes('node_modules'));
    })
    .sort();
}
