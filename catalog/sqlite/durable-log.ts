import { dirname } from 'node:path';
import { systemErrorCode } from '../../src/errors.ts';
import { syncDirectory, syncFile } from '../../src/platform/files.ts';

/**
 * Makes committed transactions durable. SQLite would do it by itself (`synchronous = FULL`), but on the thread that asked,
 * so that the service stands still for as long as the disk takes. Here it waits aside, and those who come meanwhile share
 * the next turn.
 */
export class DurableLog {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #named = false;

  /** `path`: of the database; its write-ahead log stands beside it. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when everything that was committed before the call is on disk. */
  async sync(): Promise<void> {
    if (this.#path === ':memory:') return;
    // One that runs already may have begun before the caller's transaction.
    this.#next ??= this.#after(this.#running);
    await this.#next;
  }

  async #after(running: Promise<void> | undefined): Promise<void> {
    // Its failure is for those who wait for it.
    await running?.catch(() => undefined);
    this.#running = this.#next;
    this.#next = undefined;
    try {
      await syncFile(`${this.#path}-wal`);
      if (!this.#named) await syncDirectory(dirname(this.#path));
      this.#named = true;
    } catch (error) {
      // Folded into the database, which SQLite syncs before it removes its log.
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}
