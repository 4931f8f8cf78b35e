import type { StoredObject } from '../repository/object-bytes.ts';
import type { PackMember, PageRules } from './pack-input.ts';
import { type OpenPack, type PackSettings, PackShelf, type PackTask, throwFirstFailure } from './pack-shelf.ts';

/**
 * Fills packs from files in as many lanes as there are workers: each lane has one open pack and one task under way. A full
 * pack is sealed and stored beside the work on the next one.
 */
export class PackWriter {
  readonly #shelf: PackShelf;
  readonly #signal: AbortSignal;
  #open: OpenPack[] = [];

  constructor(settings: PackSettings) {
    this.#shelf = new PackShelf(settings);
    this.#signal = settings.signal;
  }

  /** Packs all of `tasks`; resolves or rejects only when no task is under way any more. */
  async pack(tasks: Iterable<PackTask>, lanes: number, pages: PageRules | undefined): Promise<void> {
    const shared = tasks[Symbol.iterator]();
    throwFirstFailure(
      await Promise.allSettled(
        Array.from({ length: lanes }, () => this.#shelf.stopAllOnFailure(this.#lane(shared, pages))),
      ),
    );
  }

  /** Packs the last files, in this order, at the end of the last pack, and stores all that is open. */
  async finish(last: readonly PackMember[]): Promise<readonly StoredObject[]> {
    return await this.#shelf.finish(this.#open, last);
  }

  /** Waits until nothing is under way. @throws the first failure */
  async settle(): Promise<void> {
    await this.#shelf.settle();
  }

  async #lane(tasks: Iterator<PackTask>, pages: PageRules | undefined): Promise<void> {
    let pack = this.#open.shift();
    let published: Promise<void> = Promise.resolve();
    for (let next = tasks.next(); next.done !== true; next = tasks.next()) {
      this.#signal.throwIfAborted();
      pack ??= this.#shelf.newPack();
      await this.#shelf.append(pack, next.value, pages);
      if (pack.offset < this.#shelf.packBytes) continue;
      // One pack per lane in storing: staged files must not pile up when the store is slower than the workers.
      await published;
      published = this.#shelf.publishInBackground(pack);
      pack = undefined;
    }
    if (pack !== undefined) this.#open.push(pack);
  }
}
