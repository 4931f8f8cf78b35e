import { open } from 'node:fs/promises';
import { localIoError, WaldenError } from '../../src/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';

/** So old, keys are looked up again: whoever changes them in the file need not restart anything. The SDK asks 5 min before. */
const KEYS_LIFETIME_MS = 10 * 60_000;

export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration: Date;
}

/**
 * The keys of one profile in a file like AWS's shared credentials file: `[profile]`, then `name = value` lines.
 * @throws STORAGE_DENIED when the file cannot be read, others can read it, or the profile has no keys
 */
export async function keysOfFile(path: string, profile: string): Promise<S3Keys> {
  const settings = sectionOf(await readPrivateFile(path), profile);
  const accessKeyId = settings.get('aws_access_key_id');
  const secretAccessKey = settings.get('aws_secret_access_key');
  const sessionToken = settings.get('aws_session_token');
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new WaldenError('STORAGE_DENIED', `the credentials file ${path} has no keys for the profile ${profile}`, {
      hint: `write aws_access_key_id and aws_secret_access_key below [${profile}]`,
    });
  }
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    expiration: new Date(systemClock.now().getTime() + KEYS_LIFETIME_MS),
  };
}

async function readPrivateFile(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      assertPrivate(path, (await file.stat()).mode);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof WaldenError) throw error;
    const { message } = localIoError(error, `unable to read the credentials file ${path}`);
    const hint = 'let the user of the service read it, or correct credentials_file';
    throw new WaldenError('STORAGE_DENIED', message, { hint, cause: error });
  }
}

function assertPrivate(path: string, mode: number): void {
  if ((mode & 0o007) === 0) return;
  throw new WaldenError('STORAGE_DENIED', `the credentials file ${path} is open to every user of this host`, {
    hint: `run: chmod o-rwx ${path}`,
  });
}

function sectionOf(text: string, wanted: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  let inside = false;
  for (const line of text.split(/\r?\n/).map((line) => line.trim())) {
    const section = /^\[\s*(?:profile\s+)?(.*?)\s*\]/.exec(line)?.[1];
    if (section !== undefined) inside = section === wanted;
    const [, name, value] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (inside && section === undefined && name !== undefined && value) settings.set(name.toLowerCase(), value);
  }
  return settings;
}
