import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from '../../src/errors.ts';
import { syncDirectory } from '../../src/platform/files.ts';

/**
 * Makes committed transactions durable. SQLite would do it by itself (`synchronous = FULL`), but on the thread that asked,
 * so that the service stands still for as long as the disk takes. Here it waits aside, and those who come meanwhile share
 * the next turn.
 */
export class DurableLog {
  readonly #path: string;
  readonly #fold: () => void;
  #file: FileHandle | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failed = false;

  /**
   * `path`: of the database; its write-ahead log stands beside it. `fold` writes the log into the database, synced, and
   * empties it.
   */
  constructor(path: string, fold: () => void) {
    this.#path = path;
    this.#fold = fold;
  }

  /** Whether something that was committed may not be on disk, and whoever asked for it was told so. */
  get isBehind(): boolean {
    return this.#failed;
  }

  /** Resolves when everything that was committed before the call is on disk. */
  async sync(): Promise<void> {
    if (this.#path === ':memory:') return;
    // One that runs already may have begun before the caller's transaction.
    this.#next ??= this.#after(this.#running);
    await this.#next;
  }

  /** Waits for those who sync. To be called when the log is no longer that of the database. */
  async close(): Promise<void> {
    // Their failures are for those who called.
    await Promise.allSettled([this.#running, this.#next]);
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #after(running: Promise<void> | undefined): Promise<void> {
    // Its failure is for those who wait for it.
    await running?.catch(() => undefined);
    this.#running = this.#next;
    this.#next = undefined;
    try {
      // What a failed fsync left out may be taken for written by the next one: only the pages of the log say it again.
      if (this.#failed) this.#fold();
      this.#failed = false;
      this.#file ??= await this.#open();
      await this.#file?.sync();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  /** `undefined`: there is no log, because SQLite has folded it into the database, which it syncs before. */
  async #open(): Promise<FileHandle | undefined> {
    let file: FileHandle;
    try {
      file = await open(`${this.#path}-wal`, constants.O_RDONLY);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      await syncDirectory(dirname(this.#path));
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}
