import { catalogError } from './sqlite-errors.ts';
import { DurableLog } from './durable-log.ts';
import { foldWriteAheadLog } from './fold-log.ts';
import type { Tables } from './tables.ts';

/** One transaction of the catalog. */
export interface Transactions {
  /** All its questions see the same state. */
  read<T>(work: (tables: Tables) => T): Promise<T>;
  /** Durable when it resolves. `what`: for the error. */
  write<T>(what: string, work: (tables: Tables) => T): Promise<T>;
}

/** How the catalog's file is read and written: each call one transaction, its errors those of the catalog. */
export class Engine implements Transactions {
  readonly #path: string;
  #tables: Tables;
  #log: DurableLog | undefined;

  /** `isDurable`: whether what was written is on the disk before a call resolves. */
  constructor(path: string, tables: Tables, { isDurable }: { readonly isDurable: boolean }) {
    this.#path = path;
    this.#tables = tables;
    this.#log = isDurable ? logOf(path, tables) : undefined;
  }

  get tables(): Tables {
    return this.#tables;
  }

  read<T>(work: (tables: Tables) => T): Promise<T> {
    return this.settle('read the catalog', () => {
      const tables = this.#tables;
      return tables.database.transaction(() => work(tables)).deferred();
    });
  }

  /** Takes the write lock at once: what the work reads first stays true until it has written. */
  async write<T>(what: string, work: (tables: Tables) => T): Promise<T> {
    const { result, changed } = await this.settle(what, () => {
      const tables = this.#tables;
      const before = tables.changes();
      const result = tables.database.transaction(() => work(tables)).immediate();
      return { result, changed: tables.changes() !== before };
    });
    const log = this.#log;
    // Nothing to change, perhaps because an attempt that was told to have failed has done it: then it counts only now.
    if (log !== undefined && (changed || log.isBehind)) {
      try {
        await log.sync();
      } catch (error) {
        throw catalogError(error, `cannot ${what} (${this.#path})`);
      }
    }
    return result;
  }

  /** Work in one turn of the event loop, outside of a transaction. */
  settle<T>(what: string, work: () => T): Promise<T> {
    try {
      return Promise.resolve(work());
    } catch (error) {
      return Promise.reject(catalogError(error, `cannot ${what} (${this.#path})`));
    }
  }

  /** From now on these tables. @returns the log of the old ones, to be closed */
  use(tables: Tables): DurableLog | undefined {
    const log = this.#log;
    this.#tables = tables;
    this.#log = logOf(this.#path, tables);
    return log;
  }

  async close(): Promise<void> {
    await this.#log?.close();
    await this.settle('close the catalog', () => {
      this.#tables.database.close();
    });
  }
}

function logOf(path: string, { database }: Tables): DurableLog {
  return new DurableLog(path, () => {
    foldWriteAheadLog(database);
  });
}
