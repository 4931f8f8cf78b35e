import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import type { SystemIdentifier } from '../postgres/lsn.ts';
import type { ServerRun } from '../postgres/server-run.ts';
import { parseWalName, type WalFileName } from '../postgres/wal-name.ts';

/**
 * The spool: a directory on the database host where acknowledgements and prefetched WAL files wait for the scripts.
 *
 *   push/<file>.ok   this file is durable in every repository; names the run of the server that it was archived for, and
 *                    is believed by walden-push for that run only, and while it is not older than the file
 *   fetch/<file>     a verified WAL file, ready to be moved to where restore_command wants it
 *   identity         the system identifier that all of this belongs to
 *
 * Losing it costs time, never data. It is emptied when the cluster behind it has become another one, since an
 * acknowledgement for a segment of the old cluster must never be believed for one of the new.
 */
export class Spool {
  readonly #pushDirectory: string;
  readonly fetchDirectory: string;
  readonly #identityFile: string;
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#pushDirectory = join(directory, 'push');
    this.fetchDirectory = join(directory, 'fetch');
    this.#identityFile = join(directory, 'identity');
  }

  /** Makes the directories; nothing is believed yet. Harmless while others fetch and push. @throws LOCAL_IO */
  async open(): Promise<void> {
    try {
      await mkdir(this.#pushDirectory, { recursive: true, mode: 0o750 });
      await mkdir(this.fetchDirectory, { recursive: true, mode: 0o750 });
    } catch (error) {
      throw localIoError(error, `unable to prepare the spool ${this.directory}`);
    }
  }

  /** Removes what a fetch that was killed had staged; before the first fetch only. @throws LOCAL_IO */
  async sweep(): Promise<void> {
    try {
      for (const entry of await readdir(this.fetchDirectory)) {
        if (isStaged(entry)) await rm(join(this.fetchDirectory, entry), { force: true });
      }
    } catch (error) {
      throw localIoError(error, `unable to sweep the spool ${this.directory}`);
    }
  }

  /** Empties the spool unless it belongs to this cluster already. @throws LOCAL_IO, STORAGE_FULL */
  async claim(identifier: SystemIdentifier): Promise<void> {
    try {
      if ((await readIfPresent(this.#identityFile)) === identifier) return;
      await this.forgetAcknowledgements(() => true);
      await this.clearPrefetched();
      // Nothing of the other cluster may come back after a loss of power, under the new name.
      await syncDirectory(this.#pushDirectory);
      await syncDirectory(this.fetchDirectory);
      await writeWhole(this.#identityFile, identifier);
    } catch (error) {
      throw localIoError(error, `unable to write the spool ${this.directory}`);
    }
  }

  /**
   * Only after the file is durable in every repository that the cluster requires; `run` is the server's that was seen
   * before the file was read.
   */
  async acknowledge(file: WalFileName, run: ServerRun): Promise<void> {
    await writeWhole(this.#acknowledgement(file), `${run}\n`);
  }

  async acknowledged(): Promise<ReadonlySet<WalFileName>> {
    const names = new Set<WalFileName>();
    for (const entry of await readdir(this.#pushDirectory)) {
      if (entry.endsWith('.ok')) names.add(parseWalName(entry.slice(0, -'.ok'.length)).name);
    }
    return names;
  }

  /** Removes the acknowledgements that `unwanted` names, and the rubbish of a crash. */
  async forgetAcknowledgements(unwanted: (file: string) => boolean): Promise<void> {
    for (const entry of await readdir(this.#pushDirectory)) {
      if (!entry.endsWith('.ok') || unwanted(entry.slice(0, -'.ok'.length))) {
        await rm(join(this.#pushDirectory, entry), { force: true });
      }
    }
  }

  /** A new name for a file on its way to `prefetchedPath`. */
  stagedPath(file: WalFileName): string {
    return join(this.fetchDirectory, `.${file}.${randomUUID()}`);
  }

  prefetchedPath(file: WalFileName): string {
    return join(this.fetchDirectory, file);
  }

  async prefetched(): Promise<readonly string[]> {
    return (await readdir(this.fetchDirectory)).filter((entry) => !isStaged(entry));
  }

  async clearPrefetched(): Promise<void> {
    for (const entry of await readdir(this.fetchDirectory)) await removeIfPresent(join(this.fetchDirectory, entry));
  }

  #acknowledgement(file: WalFileName): string {
    return join(this.#pushDirectory, `${file}.ok`);
  }
}

function isStaged(entry: string): boolean {
  return entry.startsWith('.');
}

/** Whole or not at all, and with a fresh modification time, which is what walden-push compares. */
async function writeWhole(path: string, text: string): Promise<void> {
  const staged = `${path}.tmp`;
  try {
    await writeFile(staged, text, { mode: 0o640 });
    await rename(staged, path);
  } catch (error) {
    await rm(staged, { force: true });
    throw error;
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    // A script may have taken it in the meantime.
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
