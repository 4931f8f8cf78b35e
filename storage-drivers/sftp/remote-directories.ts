import { posix } from 'node:path';
import type { RemoteFiles } from './remote-files.ts';
import { isAbsent, statusOf } from './sftp-errors.ts';

/** Directories below a root on the server: made where they are missing, and made durable where the server can. */
export class RemoteDirectories {
  readonly #root: string;
  readonly #canSync: boolean;
  /** Of which every name that stood in them when they were first met is as durable as the server can, up to the root. */
  readonly #settled = new Set<string>();

  constructor(root: string, { canSync }: { readonly canSync: boolean }) {
    this.#root = root;
    this.#canSync = canSync;
  }

  /** Makes a directory and those above it that are missing; others may do the same at the same time. */
  async make(files: RemoteFiles, path: string): Promise<void> {
    if (this.#settled.has(path)) return;
    await makeDirectories(files, path);
    await this.settle(files, path);
  }

  /**
   * Whoever left what stands in a directory may have died before it was durable, and others go on to rely on what they are
   * shown: so each directory is synced once here, with those above it.
   */
  async settle(files: RemoteFiles, directory: string): Promise<void> {
    if (this.#settled.has(directory)) return;
    if (this.#canSync) {
      for (let path = directory; path !== this.#root; path = posix.dirname(path)) await syncDirectory(files, path);
      await syncDirectory(files, this.#root);
    }
    this.#settled.add(directory);
  }

  /** Makes the names in a directory durable, if it is there. */
  async sync(files: RemoteFiles, directory: string): Promise<void> {
    if (!this.#canSync) return;
    try {
      await syncDirectory(files, directory);
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  /** What is known of a directory holds no more; without a name, of all of them. */
  forget(directory?: string): void {
    if (directory === undefined) this.#settled.clear();
    else this.#settled.delete(directory);
  }
}

export async function makeDirectories(files: RemoteFiles, path: string): Promise<void> {
  try {
    await files.makeDirectory(path);
  } catch (error) {
    if (isAbsent(error) && path !== '/') {
      await makeDirectories(files, posix.dirname(path));
      await makeDirectories(files, path);
    } else if (!(await files.isDirectory(path))) {
      throw error;
    }
  }
}

/** Whether the server makes names durable: OpenSSH opens a directory like a file, and syncs it. */
export async function canSyncDirectories(files: RemoteFiles, directory: string): Promise<boolean> {
  try {
    await syncDirectory(files, directory);
    return true;
  } catch (error) {
    if (statusOf(error) === undefined) throw error;
    return false;
  }
}

async function syncDirectory(files: RemoteFiles, path: string): Promise<void> {
  const handle = await files.open(path, 'read');
  try {
    await files.sync(handle);
  } finally {
    files.close(handle).catch(() => undefined);
  }
}
