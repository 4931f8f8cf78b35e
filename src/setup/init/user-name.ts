import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const DEADLINE_MS = 5_000;

/** Node knows the name of its own user only, and names may come from elsewhere than /etc/passwd. */
export async function userName(uid: number): Promise<string | undefined> {
  return await nameOf(['-un', String(uid)]);
}

/** Of the user's first group. */
export async function groupName(uid: number): Promise<string | undefined> {
  return await nameOf(['-gn', String(uid)]);
}

async function nameOf(words: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('id', [...words], { timeout: DEADLINE_MS });
    return stdout.trim();
  } catch {
    // Nobody has given it a name.
    return undefined;
  }
}
