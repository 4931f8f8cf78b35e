import { constants, type Dirent } from 'node:fs';
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isFull, localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import { syncAncestors, syncDirectory } from '../platform/files.ts';
import type { SystemIdentifier } from '../postgres/lsn.ts';
import { isRunning, processStamp, runningPostmaster } from './running-process.ts';

/**
 * The directories that a restore fills: the data directory and those of the tablespaces.
 *
 *   absent or empty                          may be used
 *   marker, and no global/pg_control         an interrupted restore: its content is removed and it is begun again
 *   anything else                            refused, and nothing in it is touched
 *
 * What a delta restore has left is not Walden's alone: it is refused too, and only a delta restore goes on with it (see
 * delta/old-directory.ts, which knows the directories that such a one may change).
 *
 * The marker is written first, before anything else, and removed last, after global/pg_control appeared.
 */
export const MARKER = 'walden-restore-incomplete.json';
const STAGED_MARKER = `${MARKER}.tmp`;
/** What stands alone in a directory that counts as empty. */
const MARKERS: readonly string[] = [MARKER, STAGED_MARKER];

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface RestoreTarget {
  readonly dataDirectory: string;
  /** Of the tablespaces. */
  readonly tablespaceDirectories: readonly string[];
}

export interface MarkerFacts {
  readonly cluster: string;
  readonly backup: string;
  readonly startedAt: string;
  /** Of a delta restore: whose files it changes. */
  readonly delta?: { readonly systemIdentifier: SystemIdentifier } | undefined;
}

/** Restores that this process is doing: a marker with our own process id says nothing about them. */
const active = new Set<string>();

/**
 * Refuses what must not be overwritten. Changes nothing.
 * @throws PATH_NOT_EMPTY, SERVER_RUNNING, LOCK_HELD (another restore fills it just now), LOCAL_IO
 */
export async function checkTarget(target: RestoreTarget): Promise<void> {
  const { dataDirectory } = target;
  await assertNoServer(dataDirectory);
  await checkDirectory(dataDirectory, dataDirectory, undefined);
  for (const directory of target.tablespaceDirectories) {
    await checkDirectory(directory, dataDirectory, 'name another place with: --tablespace-map OLD=NEW');
  }
}

/** @throws SERVER_RUNNING, LOCAL_IO */
export async function assertNoServer(dataDirectory: string): Promise<void> {
  const pid = await runningPostmaster(dataDirectory);
  if (pid === undefined) return;
  throw new WaldenError('SERVER_RUNNING', `a server (process ${pid}) runs in ${dataDirectory}`);
}

/**
 * Makes the directories, empty but for the marker, which is durable when this resolves. Call `release` when the restore
 * has ended, however it ended.
 * @throws as checkTarget
 */
export async function claimTarget(
  target: RestoreTarget,
  facts: MarkerFacts,
  owner: Owner | undefined,
): Promise<() => void> {
  await checkTarget(target);
  return await placeMarkers(target, facts, owner, removeContents);
}

/**
 * Makes the directories and puts the marker into each, durably; `after` is told of each then. Whoever calls this has looked
 * whether the directories may be changed.
 * @returns as claimTarget. @throws LOCAL_IO, STORAGE_FULL
 */
export async function placeMarkers(
  { dataDirectory, tablespaceDirectories }: RestoreTarget,
  facts: MarkerFacts,
  owner: Owner | undefined,
  after: (directory: string) => Promise<void>,
): Promise<() => void> {
  active.add(dataDirectory);
  const release = (): void => {
    active.delete(dataDirectory);
  };
  try {
    const stamp = await processStamp(process.pid);
    const text = `${JSON.stringify({ format: 1, dataDirectory, ...facts, process: stamp }, null, 2)}\n`;
    for (const directory of [dataDirectory, ...tablespaceDirectories]) {
      await makeDirectory(directory, owner);
      await syncAncestors(directory);
      await chmod(directory, 0o700);
      // In one step: torn, it would make what an earlier attempt left look like somebody else's files.
      await writeDurably(join(directory, STAGED_MARKER), text, owner);
      await rename(join(directory, STAGED_MARKER), join(directory, MARKER));
      await syncDirectory(directory);
      await after(directory);
    }
    return release;
  } catch (error) {
    release();
    throw asLocalError(error, `unable to prepare ${dataDirectory}`);
  }
}

/** The last step of a restore: from here on the directories are nothing special. */
export async function removeMarkers(target: RestoreTarget): Promise<void> {
  for (const directory of [...target.tablespaceDirectories, target.dataDirectory]) {
    await rm(join(directory, MARKER), { force: true });
    await syncDirectory(directory);
  }
}

/** Whom the files shall belong to: only root can choose, and follows the directory or its nearest parent that is there. */
export async function ownerFor(directory: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (let path = directory; ; path = dirname(path)) {
    try {
      const { uid, gid } = await stat(path);
      return { uid, gid };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw asLocalError(error, `unable to look at ${path}`);
    }
  }
}

async function checkDirectory(directory: string, dataDirectory: string, hint: string | undefined): Promise<void> {
  const { isVacant, marker } = await lookInto(directory);
  if (marker === undefined && isVacant) return;
  const complete = await exists(join(dataDirectory, 'global', 'pg_control'));
  if (marker?.dataDirectory !== dataDirectory || complete) {
    throw new WaldenError('PATH_NOT_EMPTY', `${directory} is not empty`, {
      ...(hint !== undefined && { hint }),
      details: { directory },
    });
  }
  await assertNotFilled(directory, dataDirectory, marker);
  if (isVacant || marker.systemIdentifier === undefined) return;
  throw new WaldenError('PATH_NOT_EMPTY', `${directory} holds what an interrupted delta restore left`, {
    hint: 'go on with --delta, or name a new or empty directory',
    details: { directory },
  });
}

export interface FoundDirectory {
  /** Absent, or empty but for markers. */
  readonly isVacant: boolean;
  readonly marker: Marker | undefined;
}

/** @throws PATH_NOT_EMPTY when it is no directory; LOCAL_IO */
export async function lookInto(directory: string): Promise<FoundDirectory> {
  const entries = await entriesOf(directory);
  // A link of that name is not a restore's, and what it leads to is none of its business.
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  // A crash while the first marker was written leaves it alone and unreadable.
  const isVacant = files.length === entries.length && files.every((name) => MARKERS.includes(name));
  return { isVacant, marker: files.includes(MARKER) ? await readMarker(directory) : undefined };
}

/** @throws LOCK_HELD when another restore fills the directory just now */
export async function assertNotFilled(
  directory: string,
  dataDirectory: string,
  marker: Marker | undefined,
): Promise<void> {
  if (marker?.dataDirectory !== dataDirectory) return;
  const own = marker.process.pid === process.pid;
  if (active.has(dataDirectory) || (!own && (await isRunning(marker.process)))) {
    throw new WaldenError('LOCK_HELD', `another restore is filling ${directory} (process ${marker.process.pid})`);
  }
}

async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    if (systemErrorCode(error) === 'ENOTDIR') {
      throw new WaldenError('PATH_NOT_EMPTY', `${directory} is not a directory`, { cause: error });
    }
    throw asLocalError(error, `unable to list ${directory}`);
  }
}

/** What is read of one. */
export interface Marker {
  readonly dataDirectory: string;
  /** Of a delta restore. */
  readonly systemIdentifier: string | undefined;
  readonly process: { readonly pid: number; readonly startTicks: string | undefined };
}

/** undefined for what is no marker of ours: then nothing in the directory is ours to remove. */
async function readMarker(directory: string): Promise<Marker | undefined> {
  try {
    const json = JSON.parse(await readFile(join(directory, MARKER), 'utf8')) as Partial<Marker & MarkerFacts> | null;
    const pid = json?.process?.pid;
    if (typeof json?.dataDirectory !== 'string' || typeof pid !== 'number') return undefined;
    const { startTicks } = json.process ?? {};
    const systemIdentifier = json.delta?.systemIdentifier;
    return { dataDirectory: json.dataDirectory, systemIdentifier, process: { pid, startTicks } };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw asLocalError(error, `unable to read the marker in ${directory}`);
  }
}

/** Everything but the marker. Links are removed, never followed. */
async function removeContents(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    if (entry !== MARKER) await rm(join(directory, entry), { recursive: true, force: true });
  }
}

/** With its missing parents, which go to the same owner. */
async function makeDirectory(directory: string, owner: Owner | undefined): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (first === undefined || owner === undefined) return;
  for (let path = directory; path.length >= first.length; path = dirname(path)) await chown(path, owner.uid, owner.gid);
}

export async function writeDurably(
  path: string,
  text: string | Uint8Array,
  owner: Owner | undefined,
  mode = 0o600,
): Promise<void> {
  // Not through a symlink that somebody has put there.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = await open(path, flags, mode);
  try {
    await file.writeFile(text);
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return false;
    throw asLocalError(error, `unable to look at ${path}`);
  }
}

/** A system error as LOCAL_IO or STORAGE_FULL; everything else as it is. */
export function asLocalError(error: unknown, attempted: string): unknown {
  if (systemErrorCode(error) === undefined) return error;
  return localIoError(error, attempted, isFull(error) ? { hint: 'free space there, or name another directory' } : {});
}
