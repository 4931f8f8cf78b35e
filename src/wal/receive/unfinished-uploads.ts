import { errorToDocument, isWaldenError, toWaldenError } from '../../errors.ts';
import type { RepositoryName } from '../../../catalog/catalog.ts';
import type { ObjectBody, ObjectKey } from '../../../storage-drivers/driver.ts';
import type { Clock } from '../../platform/clock.ts';
import { parseWalName, type WalFileName } from '../../postgres/wal-name.ts';
import type { Repository } from '../../repository/repository.ts';
import { largestWalObject } from '../../repository/wal-object.ts';
import type { ArchiveContext } from '../archive-context.ts';
import { listUnfinished, superseded } from '../unfinished.ts';
import type { ReceiverLog } from './receiver-options.ts';
import type { SpooledTailSource } from './spooled-tail.ts';
import { storeUnfinished } from './store-unfinished.ts';

export interface UnfinishedUploadsOptions {
  readonly source: SpooledTailSource;
  /** From the end of one upload to the beginning of the next. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly log: ReceiverLog;
  /** The cluster, whose required repositories know it as their own. Throws as long as that cannot be. */
  readonly open: () => Promise<ArchiveContext>;
}

/**
 * Stores the segment that is being received again and again, as far as it has come, in every required repository: what is lost
 * with the host of the service is then a few seconds of WAL rather than a segment. Nothing is acknowledged by it.
 *
 * At most two such objects of a timeline stand in a repository: the one that goes furthest, and until it is removed the one
 * before. A segment is not stored so while one before it waits: nobody could use it.
 */
export class UnfinishedUploads {
  readonly #options: UnfinishedUploadsOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** What was stored last, everywhere. */
  #stored: { readonly segment: WalFileName; readonly bytes: number; readonly synced: number } | undefined;
  /** Whose superseded objects are removed; the others may hold some. */
  readonly #tidy = new Set<RepositoryName>();
  /** Where nothing may be removed. */
  readonly #keeping = new Set<RepositoryName>();
  /** The code of the failure that was told last. */
  #told: string | undefined;

  constructor(options: UnfinishedUploadsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Waits for an upload that is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs, log } = this.#options;
    const { signal } = this.#stop;
    while (!this.#isStopped()) {
      try {
        await this.#round();
        this.#told = undefined;
      } catch (error) {
        const failure = toWaldenError(error);
        if (!this.#isStopped() && this.#told !== failure.code) {
          this.#told = failure.code;
          log.warn({ error: errorToDocument(failure) }, `the unfinished segment is not stored: ${failure.message}`);
        }
      }
      // Ends with the signal.
      await clock.sleep(intervalMs, signal).catch(() => undefined);
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #round(): Promise<void> {
    const { spool, usableBytes, syncedBytes } = this.#options.source;
    if (!(await spool.exists())) return;
    const partial = (await spool.partials()).at(-1);
    const bytes = partial === undefined ? 0 : (usableBytes(partial.segment) ?? partial.bytes);
    const synced = partial === undefined ? 0 : (syncedBytes(partial.segment) ?? 0);
    const known = this.#stored;
    const hasGrown =
      partial !== undefined && (partial.segment !== known?.segment || bytes > known.bytes || synced > known.synced);
    if (!hasGrown && partial?.segment === known?.segment) return;
    const context = await this.#options.open();
    if (await this.#isWaiting(context)) return;
    if (hasGrown && bytes > 0) await this.#upload(context, partial.segment, bytes);
    else await Promise.all(context.required.map((repository) => this.#tidyUp(context, repository)));
    this.#stored = partial === undefined ? undefined : { segment: partial.segment, bytes, synced };
  }

  /** Whether whole segments are on their way into the repositories; one that is refused is in them, with other bytes. */
  async #isWaiting({ catalog, cluster, required }: ArchiveContext): Promise<boolean> {
    for (const name of await this.#options.source.spool.finished()) {
      if (parseWalName(name).kind !== 'segment') continue;
      for (const repository of required) {
        if ((await catalog.walFile(repository.name, cluster, name)) === undefined) return true;
      }
    }
    return false;
  }

  async #upload(context: ArchiveContext, segment: WalFileName, usableBytes: number): Promise<void> {
    const path = this.#options.source.spool.partialPath(segment);
    await storeUnfinished(context, { segment, path, usableBytes }, (repository, key, body) =>
      this.#store(context, repository, key, body),
    );
  }

  async #store(context: ArchiveContext, repository: Repository, key: ObjectKey, body: ObjectBody): Promise<void> {
    // What could not be removed after the last upload is removed before this one: they must not become more and more.
    if (!this.#tidy.has(repository.name)) await this.#tidyUp(context, repository);
    this.#tidy.delete(repository.name);
    const largestBytes = largestWalObject(context.identity.segmentBytes);
    const { signal } = this.#stop;
    try {
      await repository.driver.put(key, body, { ifExists: 'fail', temporary: true, largestBytes, signal });
    } catch (error) {
      // Stored before, by an attempt whose answer was lost, or up to the same record.
      if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    }
    await this.#tidyUp(context, repository);
  }

  async #tidyUp({ catalog, cluster }: ArchiveContext, repository: Repository): Promise<void> {
    const { name, driver } = repository;
    if (this.#keeping.has(name)) return;
    const { signal } = this.#stop;
    const listed = await listUnfinished(repository, cluster, signal);
    const whole = new Set<WalFileName>();
    for (const { segment } of listed) {
      if ((await catalog.walFile(name, cluster, segment)) !== undefined) whole.add(segment);
    }
    for (const { key } of superseded(listed, whole)) {
      try {
        await driver.remove(key, { signal });
      } catch (error) {
        if (!isWaldenError(error, 'STORAGE_DENIED', 'STORAGE_LOCKED')) throw error;
        this.#keeping.add(name);
        const fact = `nothing may be removed from repository ${name}: unfinished segments that were superseded stay there`;
        this.#options.log.warn({ repository: name, error: errorToDocument(error) }, fact);
        return;
      }
    }
    this.#tidy.add(name);
  }
}
