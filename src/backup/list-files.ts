import type { Stats } from 'node:fs';
import { lstat, opendir, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { isDatabaseDirectory, judgeDirectory, judgeFile, parseRelationFile, walSubdirectories } from './exclusions.ts';

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

/** How many files are looked at together. */
const BATCH = 64;

/**
 * Walks a data directory that is in use, in no particular order, a directory before what is in it. What vanishes on the
 * way is left out: the server removed it, and the WAL says so. Symlinks are followed only where PostgreSQL makes them:
 * `pg_wal` and in `pg_tblspc`.
 * @throws LOCAL_IO when something that is there cannot be read.
 */
export async function* listDataDirectory(options: ListOptions): AsyncGenerator<SourceEntry, void, undefined> {
  await requireDirectory(options.dataDirectory);
  const inside = await tablespacesInside(options.dataDirectory);
  yield* listDirectory('', { ...options, skipRealPaths: inside });
}

interface Walk extends ListOptions {
  /** Tablespaces that somebody put below the data directory: they are listed once, below pg_tblspc. */
  readonly skipRealPaths: ReadonlySet<string>;
}

async function* listDirectory(path: string, walk: Walk): AsyncGenerator<SourceEntry, void, undefined> {
  const initForks = isDatabaseDirectory(path) ? await findInitForks(sourceOf(path, walk)) : new Set<string>();
  let batch: string[] = [];
  const seen = new Set<string>();
  for await (const name of namesIn(sourceOf(path, walk))) {
    // A file that is renamed while the directory is read may come twice (readdir(3)): it must not be in the backup twice.
    if (seen.has(name)) continue;
    seen.add(name);
    if (name.includes('\uFFFD')) {
      walk.note(`${path}/${name} is not in the backup: its name is not UTF-8`);
      continue;
    }
    batch.push(path === '' ? name : `${path}/${name}`);
    if (batch.length < BATCH) continue;
    yield* listBatch(batch, walk, initForks);
    batch = [];
  }
  yield* listBatch(batch, walk, initForks);
}

async function* listBatch(
  paths: readonly string[],
  walk: Walk,
  initForks: ReadonlySet<string>,
): AsyncGenerator<SourceEntry, void, undefined> {
  const stats = await Promise.all(paths.map((path) => ifThere(() => lstat(sourceOf(path, walk)), path)));
  for (const [index, path] of paths.entries()) {
    const found = stats[index];
    if (found !== undefined) yield* listOne(path, found, walk, initForks);
  }
}

async function* listOne(
  path: string,
  found: Stats,
  walk: Walk,
  initForks: ReadonlySet<string>,
): AsyncGenerator<SourceEntry, void, undefined> {
  const source = sourceOf(path, walk);
  if (/^pg_tblspc\/\d+$/.test(path) && (found.isSymbolicLink() || found.isDirectory())) {
    yield* listTablespace(path, found, walk);
    return;
  }
  const standsForDirectory = found.isSymbolicLink() && judgeDirectory(path) === 'keep-empty';
  if (found.isDirectory() || standsForDirectory) {
    const verdict = judgeDirectory(path);
    if (verdict === 'skip' || walk.skipRealPaths.has(await realPathOf(source))) return;
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
async function* listTablespace(path: string, found: Stats, walk: Walk): AsyncGenerator<SourceEntry, void, undefined> {
  const source = sourceOf(path, walk);
  if (found.isSymbolicLink()) {
    const target = await ifThere(() => readlink(source), path);
    if (target === undefined) return;
    const location = isAbsolute(target) ? target : resolve(walk.dataDirectory, 'pg_tblspc', target);
    yield { type: 'tablespace', path, source, oid: Number(path.slice('pg_tblspc/'.length)), location };
  } else {
    yield { type: 'directory', path, source };
  }
  for await (const name of namesIn(source)) {
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

async function findInitForks(directory: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for await (const name of namesIn(directory)) {
    const relation = parseRelationFile(name);
    if (relation?.fork === 'init') found.add(relation.number);
  }
  return found;
}

async function tablespacesInside(dataDirectory: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const directory = join(dataDirectory, 'pg_tblspc');
  for await (const name of namesIn(directory)) {
    const path = join(directory, name);
    const entry = await ifThere(() => lstat(path), path);
    if (entry?.isSymbolicLink() === true) found.add(await realPathOf(path));
  }
  return found;
}

async function* namesIn(directory: string): AsyncGenerator<string, void, undefined> {
  const opened = await ifThere(() => opendir(directory, { bufferSize: 256 }), directory);
  if (opened === undefined) return;
  try {
    for await (const entry of opened) yield entry.name;
  } catch (error) {
    if (!isGone(error)) throw readFailure(directory, error);
  }
}

async function realPathOf(path: string): Promise<string> {
  return (await ifThere(() => realpath(path), path)) ?? path;
}

async function requireDirectory(path: string): Promise<void> {
  const found = await ifThere(() => stat(path), path);
  if (found?.isDirectory() !== true) {
    throw new WaldenError('LOCAL_IO', `unable to back up ${path}: there is no such directory`);
  }
}

async function ifThere<T>(read: () => Promise<T>, what: string): Promise<T | undefined> {
  try {
    return await read();
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
  return join(walk.dataDirectory, path);
}
