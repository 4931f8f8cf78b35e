import { randomUUID } from 'node:crypto';
import { posix } from 'node:path';
import { makeDirectories } from './remote-directories.ts';
import type { RemoteFiles } from './remote-files.ts';
import { SftpStatus, statusOf } from './sftp-errors.ts';
import { STAGING_DIRECTORY } from './sftp-list.ts';

/** A staged file of this age was left by a crash, not by work under way. In seconds. */
const ABANDONED_SECONDS = 7 * 24 * 3600;

/** Where files lie on the server that are not whole yet. */
export class SftpStaging {
  readonly #directory: string;
  /** Names that could not be removed, since the connection was lost. */
  readonly #leftBehind = new Set<string>();

  constructor(root: string) {
    this.#directory = posix.join(root, STAGING_DIRECTORY, 'sftp');
  }

  async make(files: RemoteFiles): Promise<void> {
    await makeDirectories(files, this.#directory);
  }

  /** Removes what a crash left long ago. `now`: by the server's clock, in seconds, which made the times of its files too. */
  async sweep(files: RemoteFiles, now: number): Promise<void> {
    for (const { filename, attrs } of await files.readDirectory(this.#directory)) {
      if (now - attrs.mtime > ABANDONED_SECONDS) await this.#remove(files, posix.join(this.#directory, filename));
    }
  }

  /** A new name for a file; what has the name at the end is removed. */
  async withName<Result>(files: RemoteFiles, work: (staged: string) => Promise<Result>): Promise<Result> {
    for (const path of this.#leftBehind) await this.#remove(files, path);
    const staged = posix.join(this.#directory, randomUUID());
    try {
      return await work(staged);
    } finally {
      this.#leftBehind.add(staged);
      await files
        .tidy((tidying) => this.#remove(tidying, staged))
        // What went wrong before counts more; and the name is noted.
        .catch(() => undefined);
    }
  }

  async #remove(files: RemoteFiles, path: string): Promise<void> {
    try {
      await files.remove(path);
    } catch (error) {
      // Who may only add leaves it there. It is mostly a second name of what is stored, which costs a line in a directory.
      if (statusOf(error) !== SftpStatus.PERMISSION_DENIED) throw error;
    }
    this.#leftBehind.delete(path);
  }
}
