import { mkdir, readdir, readFile, readlink, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { makeDirectories, syncFile } from '../../platform/files.ts';
import { isRunning, runningPostmaster } from '../../restore/running-process.ts';
import { writeDurably } from '../../restore/target-directory.ts';

/**
 * Where a drill works. Its directory is written down in the service's own one before it is made: whatever ends the service, the
 * next one finds it there and removes it, with the server that may still run in it.
 */
export interface Scratch {
  readonly directory: string;
  readonly dataDirectory: string;
  /** Kept until the directory is gone. */
  readonly registration: string;
}

const MARKER = 'walden-drill.json';
const POLL_MS = 100;
const STOP_DEADLINE_MS = 60_000;
/** `sun_path` has room for 107 bytes on Linux. */
const MAX_SOCKET_BYTES = 107;
const SOCKET_NAME = '/.s.PGSQL.5432';

/** @throws USAGE when sockets could not have so long a name, LOCAL_IO, STORAGE_FULL */
export async function makeScratch(registry: string, parent: string, id: string): Promise<Scratch> {
  const name = `drill-${id.slice(0, 8)}`;
  const directory = join(parent, name);
  if (Buffer.byteLength(directory + SOCKET_NAME) > MAX_SOCKET_BYTES) {
    throw new WaldenError('USAGE', `${directory} is too long a path for the socket of a server`, {
      hint: 'name a directory with a shorter path: --scratch, or drill_directory in the configuration',
    });
  }
  const scratch = { directory, dataDirectory: join(directory, 'data'), registration: join(registry, `${name}.json`) };
  try {
    await makeDirectories(registry, 0o700);
    await makeDirectories(parent, 0o700);
    await writeDurably(scratch.registration, JSON.stringify({ id, directory }), undefined);
    await mkdir(directory, { mode: 0o700 });
    await writeFile(join(directory, MARKER), JSON.stringify({ id }), { mode: 0o600 });
    await syncFile(join(directory, MARKER));
    return scratch;
  } catch (error) {
    await removeScratch(scratch.registration, id, directory).catch(() => undefined);
    throw localIoError(error, `unable to make the scratch directory ${directory}`);
  }
}

/** @throws STORAGE_FULL with what is needed and what is free */
export async function assertRoom(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= neededBytes) return;
  const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MiB`;
  throw new WaldenError(
    'STORAGE_FULL',
    `the drill needs about ${mebibytes(neededBytes)}, and ${mebibytes(free)} are free in ${directory}`,
    { hint: 'free space there, or name another directory: --scratch, or drill_directory in the configuration' },
  );
}

/** Removes a scratch directory and all that is in it, and only then what says where it is. @throws LOCAL_IO */
export async function removeScratch(registration: string, id: string, directory: string): Promise<void> {
  try {
    if (await isOurs(directory, id)) {
      // The marker last: a directory without it is not ours to remove. A restore_command may just write its last file.
      const thorough = { recursive: true, force: true, maxRetries: 10, retryDelay: 200 };
      const entries = await readdir(directory);
      for (const name of entries) if (name !== MARKER) await rm(join(directory, name), thorough);
      await rm(directory, thorough);
    }
    await rm(registration, { force: true });
  } catch (error) {
    throw localIoError(error, `unable to remove ${directory}`);
  }
}

/**
 * Removes what drills of a service that was killed have left: their servers are stopped, their directories removed. What cannot
 * be removed is told and left for the next start.
 */
export async function sweepScratches(registry: string, clock: Clock, note: (text: string) => void): Promise<void> {
  for (const registration of await registrationsIn(registry)) {
    try {
      const { id, directory } = JSON.parse(await readFile(registration, 'utf8')) as { id: string; directory: string };
      await stopLeftServer(join(directory, 'data'), clock);
      await removeScratch(registration, id, directory);
      note(`removed what an interrupted drill left in ${directory}`);
    } catch (error) {
      note(`unable to remove what an interrupted drill left (${registration}): ${String(error)}`);
    }
  }
}

async function registrationsIn(registry: string): Promise<readonly string[]> {
  try {
    return (await readdir(registry))
      .filter((name) => /^drill-.*\.json$/.test(name))
      .map((name) => join(registry, name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw localIoError(error, `unable to list ${registry}`);
  }
}

/** Somebody else's directory has no marker of this drill; one that was just made may be empty. */
async function isOurs(directory: string, id: string): Promise<boolean> {
  try {
    if ((await readdir(directory)).length === 0) return true;
    const { id: marked } = JSON.parse(await readFile(join(directory, MARKER), 'utf8')) as { id?: unknown };
    return marked === id;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return false;
    throw error;
  }
}

/** A killed service leaves its server running. */
async function stopLeftServer(dataDirectory: string, clock: Clock): Promise<void> {
  const pid = await runningPostmaster(dataDirectory);
  if (pid === undefined || !(await worksIn(pid, dataDirectory))) return;
  // Immediate shutdown: nothing of it is kept.
  process.kill(pid, 'SIGQUIT');
  const deadline = clock.now().getTime() + STOP_DEADLINE_MS;
  while (await isRunning({ pid, startTicks: undefined })) {
    if (clock.now().getTime() > deadline) process.kill(pid, 'SIGKILL');
    await clock.sleep(POLL_MS);
  }
}

/** Process ids are given anew: a postmaster works in its data directory, another process does not. */
async function worksIn(pid: number, dataDirectory: string): Promise<boolean> {
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(dataDirectory));
  } catch {
    // It has ended, is somebody else's, or this system has no /proc: then it is left alone.
    return false;
  }
}
