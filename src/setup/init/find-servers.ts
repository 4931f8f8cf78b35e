import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { postmasterPlace, type PostmasterPlace } from '../../postgres/postmaster-place.ts';
import { runningPostmaster } from '../../restore/running-process.ts';

/** A server that runs on this host and can be asked here. */
export interface FoundServer {
  readonly dataDirectory: string;
  readonly pid: number;
  readonly place: PostmasterPlace;
  /** Of the data directory. */
  readonly uid: number;
  readonly gid: number;
}

/** Where packages put data directories, with one `*` for each name that varies. */
const USUAL = [
  ['/var/lib/postgresql', '*', '*'],
  ['/var/lib/pgsql', '*', 'data'],
  ['/var/lib/pgsql', 'data'],
  ['/usr/local/pgsql', 'data'],
] as const;

/** `named`: the only directory that is looked at, where one is. Ascending by directory. */
export async function findServers(
  named: string | undefined,
  environment: string | undefined,
): Promise<readonly FoundServer[]> {
  const directories =
    named === undefined
      ? [...(await fromProcesses()), ...(await usualDirectories()), ...(environment === undefined ? [] : [environment])]
      : [named];
  const found = new Map<number, FoundServer>();
  for (const directory of [...new Set(directories)].sort()) {
    const server = await serverIn(directory);
    // One directory may have two names.
    if (server !== undefined && !found.has(server.pid)) found.set(server.pid, server);
  }
  return [...found.values()];
}

/** Undefined also where this user may not look. */
async function serverIn(dataDirectory: string): Promise<FoundServer | undefined> {
  try {
    const { uid, gid } = await stat(dataDirectory);
    const pid = await runningPostmaster(dataDirectory);
    const place = await postmasterPlace(dataDirectory);
    return pid === undefined || place === undefined ? undefined : { dataDirectory, pid, place, uid, gid };
  } catch {
    // Not there, or another user's: then it is not found.
    return undefined;
  }
}

/** A postmaster works in its data directory, and postmaster.pid there begins with its process id (ChangeToDataDir). */
async function fromProcesses(): Promise<readonly string[]> {
  // No /proc on this system: then the usual places are all that is left.
  const entries = await readdir('/proc').catch(() => []);
  const found = await Promise.all(
    entries
      .filter((entry) => /^\d+$/.test(entry))
      .map(async (pid) => {
        try {
          const directory = await readlink(`/proc/${pid}/cwd`);
          const text = await readFile(join(directory, 'postmaster.pid'), 'utf8');
          return Number.parseInt(text, 10) === Number(pid) ? [directory] : [];
        } catch {
          // Another user's process, or no postmaster.
          return [];
        }
      }),
  );
  return found.flat();
}

async function usualDirectories(): Promise<readonly string[]> {
  const lists = await Promise.all(USUAL.map(([root, ...parts]) => expand(root, parts)));
  return lists.flat();
}

async function expand(root: string, [part, ...rest]: readonly string[]): Promise<readonly string[]> {
  if (part === undefined) return [root];
  if (part !== '*') return await expand(join(root, part), rest);
  const names = await readdir(root).catch(() => []);
  const lists = await Promise.all(names.map((name) => expand(join(root, name), rest)));
  return lists.flat();
}
