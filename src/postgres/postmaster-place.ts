import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a running server can be asked from its own host. */
export interface PostmasterPlace {
  /** For the database `postgres`; the role is the caller's own. */
  readonly conninfo: string;
  readonly port: number;
}

/**
 * What `postmaster.pid` says (pidfile.h): the port on line 4, the first directory of unix sockets on line 5, the first
 * address on line 6. Undefined when no server runs, or it does not listen yet.
 */
export async function postmasterPlace(dataDirectory: string): Promise<PostmasterPlace | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8');
  } catch {
    // Whatever the reason: nobody can be asked then.
    return undefined;
  }
  const [, , , port = '', directory = '', address = ''] = text.split('\n').map((line) => line.trim());
  const host = directory === '' ? localAddress(address) : directory;
  if (!/^\d+$/.test(port) || host === '') return undefined;
  return { conninfo: `host=${quoted(host)} port=${port} dbname=postgres`, port: Number(port) };
}

function localAddress(address: string): string {
  return address === '*' ? 'localhost' : address;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
