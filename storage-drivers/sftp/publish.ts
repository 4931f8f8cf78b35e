import { WaldenError } from '../../src/errors.ts';
import type { RemoteFiles } from './remote-files.ts';
import { isAbsent, statusOf } from './sftp-errors.ts';
import type { SftpStaging } from './sftp-staging.ts';
import { writeBytes } from './write-file.ts';

/** What of OpenSSH's additions to the protocol a server has, and its file system. */
export interface Abilities {
  /** hardlink@openssh.com: a name is taken in one step, or found taken. */
  readonly links: boolean;
  /** posix-rename@openssh.com: a name gets another file in one step. */
  readonly replaces: boolean;
}

/** Tries them on staged files; also says what time it is on the server, in seconds. */
export async function tryAbilities(
  files: RemoteFiles,
  staging: SftpStaging,
): Promise<{ readonly abilities: Abilities; readonly now: number }> {
  return await staging.withName(files, (one) =>
    staging.withName(files, async (other) => {
      await writeBytes(files, one, Buffer.alloc(0));
      const { mtime: now } = await files.stat(one);
      const links = await succeeds(files.link(one, other));
      const replaces = await succeeds(files.replace(one, other));
      return { abilities: { links, replaces }, now };
    }),
  );
}

/**
 * Gives a staged file its name if that is free. Without links, looking and renaming are two steps.
 * @throws STORAGE_OBJECT_EXISTS
 */
export async function create(
  files: RemoteFiles,
  { staged, target }: { readonly staged: string; readonly target: string },
  { links }: Abilities,
): Promise<void> {
  try {
    if (links) {
      await files.link(staged, target);
      return;
    }
    if (await files.exists(target)) throw existing();
    await files.rename(staged, target);
  } catch (error) {
    // The protocol has no word for a name that is taken.
    if (statusOf(error) !== undefined && !isAbsent(error) && (await files.exists(target))) throw existing(error);
    throw error;
  }
}

/** Gives a staged file its name, whoever has it. Without posix-rename nobody has it for a moment. */
export async function replace(
  files: RemoteFiles,
  { staged, target }: { readonly staged: string; readonly target: string },
  { replaces }: Abilities,
): Promise<void> {
  if (replaces) {
    await files.replace(staged, target);
    return;
  }
  await files.remove(target);
  await files.rename(staged, target);
}

function existing(cause?: unknown): WaldenError {
  return new WaldenError('STORAGE_OBJECT_EXISTS', 'the key exists already', { cause });
}

async function succeeds(attempt: Promise<void>): Promise<boolean> {
  try {
    await attempt;
    return true;
  } catch (error) {
    if (statusOf(error) === undefined) throw error;
    return false;
  }
}
