import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One run of a server, from its start to its end, as text: `<process id> <start>`. */
export type ServerRun = string & { readonly __serverRun: unique symbol };

/**
 * The run that `postmaster.pid` names: its first line is the process id, its third the second in which the server started
 * (miscinit.c, CreateLockFile). Within one run a WAL file name never comes twice with other bytes, whatever the clock does.
 * Undefined when no server runs, or the file cannot be read.
 */
export async function currentServerRun(dataDirectory: string): Promise<ServerRun | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDirectory, 'postmaster.pid'), 'latin1');
  } catch {
    // Whatever the reason: nobody can be told apart by it then.
    return undefined;
  }
  const [pid = '', , started = ''] = text.split('\n').map((line) => line.trim());
  return /^\d+$/.test(pid) && /^\d+$/.test(started) ? (`${pid} ${started}` as ServerRun) : undefined;
}
