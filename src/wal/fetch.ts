import { type FSWatcher, watch } from 'node:fs';
import { access, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import type { RepositoryName } from '../../catalog/catalog.ts';
import { isWaldenError, localIoError, toWaldenError, WaldenError } from '../errors.ts';
import { type ParsedWalName, parseWalName, type WalFileName } from '../postgres/wal-name.ts';
import type { ArchiveContext } from './archive-context.ts';
import { byPreference } from '../repository/repository.ts';
import { openWalObject } from './open-object.ts';
import type { Spool } from './spool.ts';
import { successors } from './successors.ts';

const REQUESTED = 1;
const AHEAD = 0;
/** Files kept ready ahead of recovery: more gained nothing on two cores. */
const AHEAD_FILES = 8;
const AHEAD_BYTES = 256 * 1024 * 1024;
/** Prefetched files that nobody took: recovery ended, or went another way. */
const KEPT_FILES = 64;

export type FetchOutcome = 'ready' | 'absent';
export type FetchNote = (repository: RepositoryName, passedOver: WaldenError | undefined) => void;

/**
 * The way out for one cluster's WAL: puts the file that recovery asks for into the spool, verified, and the next ones
 * after it, so that its next calls find them there. Each file that is taken out of the spool moves the look-ahead on.
 *
 * 'absent' is a proof: every repository answered that it has none. What prefetching did not find proves nothing.
 */
export class WalFetcher {
  readonly #context: ArchiveContext;
  readonly #spool: Spool;
  readonly #queue: PQueue;
  readonly #inFlight = new Map<WalFileName, Promise<FetchOutcome>>();
  readonly #aheadFiles: number;
  readonly #noteUsed: FetchNote;
  #lastUsed: RepositoryName | undefined;
  #watcher: FSWatcher | undefined;
  #stopped = false;

  /** `used` is told whenever files begin to come from another repository, and why the better ones were passed over. */
  constructor(context: ArchiveContext, spool: Spool, used: FetchNote = () => undefined) {
    this.#context = context;
    this.#spool = spool;
    this.#noteUsed = used;
    // More than there are workers, so that none waits while others are opened, or put into their place.
    this.#queue = new PQueue({ concurrency: context.pool.threads * 2 });
    const fitting = Math.floor(AHEAD_BYTES / context.identity.segmentBytes);
    this.#aheadFiles = Math.max(1, Math.min(AHEAD_FILES, fitting));
  }

  /** The name's file waits at `spool.prefetchedPath(name)` when this resolves with 'ready'. */
  async fetch(name: string): Promise<FetchOutcome> {
    if (this.#stopped) throw new WaldenError('INTERRUPTED', 'the service is stopping');
    const file = parseWalName(name);
    await this.#spool.open();
    this.#watch();
    const outcome = await this.#bringRequested(file);
    if (outcome === 'ready') this.#lookAhead(file);
    return outcome;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watcher?.close();
    await this.#queue.onIdle();
  }

  /** What nobody asked for must not take the room of what is asked for. */
  async #bringRequested(file: ParsedWalName): Promise<FetchOutcome> {
    try {
      return await this.#bring(file, REQUESTED);
    } catch (error) {
      if (!isWaldenError(error, 'STORAGE_FULL')) throw error;
      await this.#discardLeftovers(0);
      return await this.#bring(file, REQUESTED);
    }
  }

  async #bring(file: ParsedWalName, priority: number): Promise<FetchOutcome> {
    if (await exists(this.#spool.prefetchedPath(file.name))) return 'ready';
    const running = this.#inFlight.get(file.name);
    if (running !== undefined) return await running;
    const work = this.#queue
      .add(() => this.#fetchIntoSpool(file), { priority, throwOnTimeout: true })
      .finally(() => {
        this.#inFlight.delete(file.name);
      });
    this.#inFlight.set(file.name, work);
    return await work;
  }

  /** Asks the healthy and near first. One that fails makes 'absent' impossible, unless another has the file. */
  async #fetchIntoSpool(file: ParsedWalName): Promise<FetchOutcome> {
    if (this.#stopped) throw new WaldenError('INTERRUPTED', 'the service is stopping');
    let failure: WaldenError | undefined;
    for (const repository of byPreference(this.#context.repositories)) {
      // One for each: a worker that hangs removes its own when it ends at last.
      const staged = this.#spool.stagedPath(file.name);
      try {
        await openWalObject(this.#context, repository, file, staged);
        await this.#publish(staged, file);
        if (this.#lastUsed !== repository.name) this.#noteUsed(repository.name, failure);
        this.#lastUsed = repository.name;
        return 'ready';
      } catch (error) {
        // Not there, or the spool is closed: the next start sweeps it.
        await rm(staged, { force: true }).catch(() => undefined);
        if (!isWaldenError(error, 'STORAGE_OBJECT_MISSING')) failure ??= toWaldenError(error);
      }
    }
    if (failure !== undefined) throw failure;
    return 'absent';
  }

  async #publish(staged: string, { name }: ParsedWalName): Promise<void> {
    try {
      await rename(staged, this.#spool.prefetchedPath(name));
    } catch (error) {
      throw localIoError(error, `unable to put ${name} into the spool ${this.#spool.fetchDirectory}`);
    }
  }

  #lookAhead(file: ParsedWalName): void {
    this.#prefetchAfter(file).catch(() => {
      // Recovery asks for each file itself, and hears then what is wrong with it.
    });
  }

  async #prefetchAfter(file: ParsedWalName): Promise<void> {
    if (this.#stopped || file.kind !== 'segment') return;
    const ready = new Set(await this.#spool.prefetched());
    if (ready.size > KEPT_FILES) await this.#discardLeftovers();
    for (const next of await successors(this.#context, file, this.#aheadFiles)) {
      if (ready.has(next) || this.#inFlight.has(next)) continue;
      this.#bring(parseWalName(next), AHEAD).catch(() => {
        // As above.
      });
    }
  }

  /** Recovery that jumped or ended leaves files behind: the oldest go. */
  async #discardLeftovers(kept = KEPT_FILES): Promise<void> {
    const names = await this.#spool.prefetched();
    if (names.length <= kept) return;
    const aged = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#spool.fetchDirectory, name);
        const found = await stat(path).catch(() => undefined);
        return { path, modified: found?.mtimeMs ?? 0 };
      }),
    );
    aged.sort((a, b) => a.modified - b.modified);
    for (const { path } of aged.slice(0, names.length - kept)) await rm(path, { force: true });
  }

  /** Without a watch (some network file systems have none, and their number is limited) each request moves it on. */
  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      this.#watcher = watch(this.#spool.fetchDirectory, { persistent: false }, (_event, name) => {
        if (name !== null && !name.startsWith('.')) void this.#noticeTaken(name);
      });
    } catch {
      return;
    }
    this.#watcher.on('error', () => {
      this.#watcher?.close();
      this.#watcher = undefined;
    });
  }

  async #noticeTaken(name: string): Promise<void> {
    if (!/^[0-9A-F]{24}$/.test(name) || (await exists(this.#spool.prefetchedPath(name as WalFileName)))) return;
    this.#lookAhead(parseWalName(name));
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    // Whatever the reason, it cannot be taken from there.
    return false;
  }
}
