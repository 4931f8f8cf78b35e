import { access, readFile, stat } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { systemErrorCode, WaldenError } from '../errors.ts';

/** What a line of a password file is compared with; a field `*` fits everything. */
export interface PasswordSought {
  readonly host: string;
  readonly port: string;
  /** Any of them: a connection for replication goes by the name `replication`, as in libpq. */
  readonly databases: readonly string[];
  readonly user: string;
}

/**
 * The password of the first line that fits, in the format of ~/.pgpass: `host:port:database:user:password`, with a backslash
 * before a colon or backslash that belongs to a field. Empty when none fits.
 * @throws CONFIG_INVALID when it cannot be read, or by others too
 */
export async function passwordFrom(path: string, sought: PasswordSought): Promise<string> {
  try {
    const { mode } = await stat(path);
    // libpq passes such a file over with a warning, which nobody would see.
    if ((mode & 0o077) !== 0) {
      throw new WaldenError('CONFIG_INVALID', `the passfile ${path} can be read by others than its owner`, {
        hint: `chmod 600 ${path}`,
      });
    }
    return passwordIn(await readFile(path, 'utf8'), sought) ?? '';
  } catch (cause) {
    if (cause instanceof WaldenError) throw cause;
    const fact = `unable to read the passfile ${path} (${systemErrorCode(cause) ?? 'unknown'})`;
    throw new WaldenError('CONFIG_INVALID', fact, { hint: 'the user of Walden must own it' });
  }
}

/**
 * The same configuration, with a password that is looked for when the server asks for one, where it and
 * PGPASSWORD name none: in the file that PGPASSFILE names, else in ~/.pgpass, as libpq does.
 */
export function withPassfile(config: ClientConfig): ClientConfig {
  if (config.password !== undefined || process.env['PGPASSWORD'] !== undefined) return config;
  return { ...config, password: async () => await passwordByDefault(config) };
}

async function passwordByDefault(config: ClientConfig): Promise<string> {
  const named = process.env['PGPASSFILE'];
  const path = named ?? join(homedir(), '.pgpass');
  if (named === undefined && !(await isThere(path))) return '';
  return await passwordFrom(path, sought(config, [config.database ?? 'postgres']));
}

export interface ServerAndRole {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
}

/** With libpq's defaults for what a configuration leaves open. */
export function sought({ host, port, user }: ServerAndRole, databases: readonly string[]): PasswordSought {
  return {
    host: host ?? process.env['PGHOST'] ?? 'localhost',
    port: (port ?? process.env['PGPORT'] ?? 5432).toString(),
    databases,
    user: user ?? process.env['PGUSER'] ?? userInfo().username,
  };
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    // Whatever the reason: a file that nobody named need not be there.
    () => false,
  );
}

/** Undefined when no line fits. */
export function passwordIn(text: string, { host, port, databases, user }: PasswordSought): string | undefined {
  const wanted = [[host], [port], databases, [user]];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = fieldsOf(line);
    const password = fields[4];
    if (password === undefined) continue;
    if (wanted.every((values, index) => fields[index] === '*' || values.includes(fields[index] ?? ''))) return password;
  }
  return undefined;
}

function fieldsOf(line: string): readonly string[] {
  const fields: string[] = [];
  let field = '';
  for (let at = 0; at < line.length; at += 1) {
    const letter = line.charAt(at);
    if (letter === ':') {
      fields.push(field);
      field = '';
      continue;
    }
    // A backslash takes the next character as it is.
    if (letter === '\\' && at + 1 < line.length) at += 1;
    field += line.charAt(at);
  }
  return [...fields, field];
}
