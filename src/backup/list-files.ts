import { lstatSync, opendirSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { isDatabaseDirectory, judgeDirectory, judgeFile, parseRelationFile, walSubdirectories } from './exclusions.ts';
import { SeenNames } from './seen-names.ts';

/** What of a data directory goes into a backup. `path` is the place in the backup, `source` where it stands now. */
export type SourceEntry = SourceFile | SourceDirectory | SourceTablespace;

export interface SourceFile {
  readonly type: 'file';
  readonly path: string;
  readonly source: string;
  /** When it was listed; it may have changed since. */
  readonly bytes: number;
}

export interface SourceDirectory {
  readonly type: 'directory';
  readonly path: string;
  readonly source: string;
}

export interface SourceTablespace {
  readonly type: 'tablespace';
  readonly path: string;
  readonly source: string;
  readonly oid: number;
  /** Where the symlink leads. */
  readonly location: string;
}

export interface ListOptions {
  readonly dataDirectory: string;
  readonly majorVersion: number;
  /** Told of what is left out although PostgreSQL does not know it as left out. */
  readonly note: (message: string) => void;
}

/** Of a directory, together. */
const READ_NAMES = 256;

/**
 * Walks a data directory that is in use, in no particular order, a directory before what is in it. What vanishes on the
 * way is left out: the server removed it, and the WAL says so. Symlinks are followed only where PostgreSQL makes them:
 * `pg_wal` and in `pg_tblspc`. Synchronous: for a worker.
 * @throws LOCAL_IO when something that is there cannot be read.
 */
export function* listDataDirectory(options: ListOptions): Generator<SourceEntry, void, undefined> {
  requireDirectory(options.dataDirectory);
  const inside = tablespacesInside(options.dataDirectory);
  yield* listDirectory('', { ...options, skipRealPaths: inside });
}

interface Walk extends ListOptions {
  /** Tablespaces that somebody put below the data directory: they are listed once, below pg_tblspc. */
  readonly skipRealPaths: ReadonlySet<string>;
}

function* listDirectory(path: string, walk: Walk): Generator<SourceEntry, void, undefined> {
  const initForks = isDatabaseDirectory(path) ? findInitForks(sourceOf(path, walk)) : new Set<string>();
  const seen = new SeenNames();
  for (const name of namesIn(sourceOf(path, walk))) {
    // A file that is renamed while the directory is read may come twice (readdir(3)): it must not be in the backup twice.
    if (!seen.add(name)) continue;
    if (name.includes('\uFFFD')) {
      walk.note(`${path}/${name} is not in the backup: its name is not UTF-8`);
      continue;
    }
    const child = path === '' ? name : `${path}/${name}`;
    const found = ifThere(() => lstatSync(sourceOf(child, walk)), child);
    if (found !== undefined) yield* listOne(child, found, walk, initForks);
  }
}

function* listOne(
  path: string,
  found: Stats,
  walk: Walk,
  initForks: ReadonlySet<string>,
): Generator<SourceEntry, void, undefined> {
  const source = sourceOf(path, walk);
  if (/^pg_tblspc\/\d+$/.test(path) && (found.isSymbolicLink() || found.isDirectory())) {
    yield* listTablespace(path, found, walk);
    return;
  }
  const standsForDirectory = found.isSymbolicLink() && judgeDirectory(path) === 'keep-empty';
  if (found.isDirectory() || standsForDirectory) {
    const verdict = judgeDirectory(path);
    if (verdict === 'skip' || walk.skipRealPaths.has(realPathOf(source))) return;
    yield { type: 'directory', path, source };
    if (verdict === 'keep') yield* listDirectory(path, walk);
    if (path === 'pg_wal') yield* emptyWalDirectories(walk);
    return;
  }
  if (judgeFile(path, initForks) === 'skip') return;
  if (found.isFile()) yield { type: 'file', path, source, bytes: found.size };
  else walk.note(`${path} is not in the backup: it is a ${found.isSymbolicLink() ? 'symlink' : 'special file'}`);
}

/** Of a tablespace only the directory of this version is the server's: others may share the place (pg_upgrade). */
function* listTablespace(path: string, found: Stats, walk: Walk): Generator<SourceEntry, void, undefined> {
  const source = sourceOf(path, walk);
  if (found.isSymbolicLink()) {
    const target = ifThere(() => readlinkSync(source), path);
    if (target === undefined) return;
    const location = isAbsolute(target) ? target : resolve(walk.dataDirectory, 'pg_tblspc', target);
    yield { type: 'tablespace', path, source, oid: Number(path.slice('pg_tblspc/'.length)), location };
  } else {
    yield { type: 'directory', path, source };
  }
  for (const name of namesIn(source)) {
    if (!name.startsWith(`PG_${walk.majorVersion}_`)) continue;
    const child = `${path}/${name}`;
    yield { type: 'directory', path: child, source: sourceOf(child, walk) };
    yield* listDirectory(child, { ...walk, skipRealPaths: new Set() });
  }
}

function* emptyWalDirectories(walk: Walk): Generator<SourceEntry, void, undefined> {
  const source = sourceOf('pg_wal', walk);
  for (const path of walSubdirectories(walk.majorVersion)) yield { type: 'directory', path, source };
}

function findInitForks(directory: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of namesIn(directory)) {
    const relation = parseRelationFile(name);
    if (relation?.fork === 'init') found.add(relation.number);
  }
  return found;
}

function tablespacesInside(dataDirectory: string): ReadonlySet<string> {
  const found = new Set<string>();
  const directory = `${dataDirectory}/pg_tblspc`;
  for (const name of namesIn(directory)) {
    const path = `${directory}/${name}`;
    const entry = ifThere(() => lstatSync(path), path);
    if (entry?.isSymbolicLink() === true) found.add(realPathOf(path));
  }
  return found;
}

function* namesIn(directory: string): Generator<string, void, undefined> {
  const opened = ifThere(() => opendirSync(directory, { bufferSize: READ_NAMES }), directory);
  if (opened === undefined) return;
  try {
    for (;;) {
      const entry = ifThere(() => opened.readSync(), directory);
      if (entry === null || entry === undefined) return;
      yield entry.name;
    }
  } finally {
    opened.closeSync();
  }
}

function realPathOf(path: string): string {
  return ifThere(() => realpathSync(path), path) ?? path;
}

function requireDirectory(path: string): void {
  const found = ifThere(() => statSync(path), path);
  if (found?.isDirectory() !== true) {
    throw new WaldenError('LOCAL_IO', `unable to back up ${path}: there is no such directory`);
  }
}

function ifThere<T>(read: () => T, what: string): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw readFailure(what, error);
  }
}

function isGone(error: unknown): boolean {
  return systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR';
}

function readFailure(what: string, cause: unknown): WaldenError {
  const fact = cause instanceof Error ? cause.message : String(cause);
  return new WaldenError('LOCAL_IO', `unable to read ${what}: ${fact}`, {
    hint: 'the user of the service must be able to read the data directory',
    cause,
  });
}

function sourceOf(path: string, walk: ListOptions): string {
  return `${walk.dataDirectory}/${path}`;
}
