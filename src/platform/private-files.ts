import { type FileHandle, open } from 'node:fs/promises';
import { systemErrorCode, WaldenError } from '../errors.ts';

const MAX_SECRET_BYTES = 4096;

/** A path must belong to this user or to root, and have none of the `forbidden` bits. @throws KEY_REFUSED */
export function assertPrivate(
  path: string,
  { mode, uid }: { readonly mode: number; readonly uid: number },
  forbidden: number,
  remedy: string,
): void {
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw new WaldenError('KEY_REFUSED', `${path} belongs to another user (${uid})`, {
      hint: `give it to the user of the service: chown USER ${path}`,
    });
  }
  if ((mode & forbidden) === 0) return;
  const may = (mode & forbidden & 0o022) !== 0 ? 'change' : 'read';
  throw new WaldenError('KEY_REFUSED', `others may ${may} ${path} (mode ${(mode & 0o777).toString(8)})`, {
    hint: `run: ${remedy} ${path}`,
  });
}

/**
 * The first line of a file that only the user of the service may read or write. `what` it holds is said in errors, never
 * itself. @throws KEY_REFUSED
 */
export async function readSecretFile(path: string, what: string): Promise<string> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const { mode, uid, size } = await handle.stat();
    assertPrivate(path, { mode, uid }, 0o077, 'chmod 600');
    if (size > MAX_SECRET_BYTES) throw new WaldenError('KEY_REFUSED', `${path} is too long for a ${what}`);
    const [secret = ''] = (await handle.readFile('utf8')).split(/\r?\n/);
    if (secret.trim() === '') throw new WaldenError('KEY_REFUSED', `${path} holds no ${what} in its first line`);
    return secret;
  } catch (cause) {
    if (cause instanceof WaldenError) throw cause;
    const reason = systemErrorCode(cause) ?? 'unknown';
    throw new WaldenError('KEY_REFUSED', `unable to read the ${what} in ${path} (${reason})`, { cause });
  } finally {
    await handle?.close();
  }
}
