import type { ClusterIdentity, SegmentRun, WalFileRecord } from '../../catalog/catalog.ts';
import { sweepBackups } from '../backup/sweep.ts';
import type { BackupLog } from '../backup/backup-deps.ts';
import { errorToDocument, isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import { inParallel } from '../platform/in-parallel.ts';
import { Pump } from '../platform/pump.ts';
import { segmentName, type WalFileName } from '../postgres/wal-name.ts';
import { byPreference, type Repository } from '../repository/repository.ts';
import { copyBackup } from './copy-backup.ts';
import { copyWalFile } from './copy-wal-file.ts';
import type { CopyDeps } from './copy-deps.ts';
import { type FillLag, fillLag, type FillPlace, type FillWork, fillWork } from './fill-work.ts';

/** WAL files under way at the same time: more would keep the workers from archiving. */
const FILES_AT_ONCE = 2;
/** What another source may do better. */
const DAMAGED = ['CHECKSUM_MISMATCH', 'FORMAT_INVALID', 'STORAGE_OBJECT_MISSING', 'STORAGE_SIZE'] as const;

export interface FillerDeps extends CopyDeps {
  readonly log: BackupLog;
  /** Makes sure that the target knows the cluster as its own, before anything is stored in it. */
  readonly recognise: () => Promise<ClusterIdentity>;
}

export interface FillFailure {
  readonly error: WaldenError;
  readonly since: Date;
}

/**
 * Brings to one repository what the others of its cluster hold, in the background: WAL as it comes, and backups beside it.
 * The database is not read for it, and archiving does not wait. What it has to do it learns from the catalog, so that an
 * outage of days, or of this service, costs nothing but time.
 */
export class RepositoryFiller {
  readonly target: Repository;
  readonly #deps: FillerDeps;
  readonly #place: FillPlace;
  readonly #wal: Pump;
  readonly #backups: Pump;
  #walFailure: FillFailure | undefined;
  #backupFailure: FillFailure | undefined;

  constructor(deps: FillerDeps, place: FillPlace) {
    this.target = place.target;
    this.#deps = deps;
    this.#place = place;
    const { clock } = deps;
    this.#wal = new Pump((signal) => this.#fillWal(signal), {
      clock,
      failed: (error) => {
        this.#walFailure = this.#told(error, this.#walFailure);
      },
    });
    this.#backups = new Pump((signal) => this.#fillBackups(signal), {
      clock,
      failed: (error) => {
        this.#backupFailure = this.#told(error, this.#backupFailure);
      },
    });
  }

  /** Why it does not get on; undefined while it does. */
  get failure(): FillFailure | undefined {
    return this.#walFailure ?? this.#backupFailure;
  }

  /** What the target lacks, by the catalog. */
  async lag(): Promise<FillLag> {
    return await fillLag(this.#place);
  }

  /** The same, one by one. */
  async work(): Promise<FillWork> {
    return await fillWork(this.#place);
  }

  start(): void {
    this.#wal.start();
    this.#backups.start();
  }

  /** There may be something new. */
  wake(): void {
    this.#wal.wake();
    this.#backups.wake();
  }

  async stop(): Promise<void> {
    const reason = new WaldenError('INTERRUPTED', 'the service is stopping');
    await Promise.all([this.#wal.stop(reason), this.#backups.stop(reason)]);
  }

  async #fillWal(signal: AbortSignal): Promise<void> {
    const { segments, others } = await fillWork(this.#place);
    if (segments.length > 0 || others.length > 0) {
      const identity = await this.#deps.recognise();
      const names = namesOf(others, segments, identity);
      const failures: WaldenError[] = [];
      await inParallel(names, FILES_AT_ONCE, async (name) => {
        signal.throwIfAborted();
        await this.#bring(name, identity, signal).catch((error: unknown) => {
          // One file that cannot be had must not keep the others back.
          if (!isWaldenError(error, ...DAMAGED, 'ARCHIVE_DUPLICATE')) throw error;
          failures.push(error);
        });
      });
      // A backup may have waited for its WAL.
      this.#backups.wake();
      if (failures[0] !== undefined) throw failures[0];
    }
    this.#walFailure = undefined;
  }

  async #bring(name: WalFileName, identity: ClusterIdentity, signal: AbortSignal): Promise<void> {
    const { catalog, cluster, sources, target } = this.#place;
    let failure: unknown;
    for (const from of byPreference(sources)) {
      const record = await catalog.walFile(from.name, cluster, name);
      if (record === undefined) continue;
      try {
        await copyWalFile(this.#deps, { cluster, identity }, { from, to: target }, record, { signal });
        return;
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
      }
    }
    // Without a failure: nobody has it any more, and nobody is to have it.
    if (failure !== undefined) throw toWaldenError(failure);
  }

  async #fillBackups(signal: AbortSignal): Promise<void> {
    const { cluster, target } = this.#place;
    const { backups, segments } = await fillWork(this.#place);
    if (backups.length > 0) {
      const identity = await this.#deps.recognise();
      await sweepBackups(this.#deps, cluster, [target], signal);
      const failures: WaldenError[] = [];
      for (const { id } of backups) {
        await this.#bringBackup(id, identity, signal).catch((error: unknown) => {
          // One backup that cannot be had must not keep the others back.
          if (!isWaldenError(error, ...DAMAGED, 'ARCHIVE_GAP', 'STORAGE_OBJECT_EXISTS')) throw error;
          // Its WAL is on its way, and wakes this.
          if (error.code !== 'ARCHIVE_GAP' || segments.length === 0) failures.push(error);
        });
      }
      if (failures[0] !== undefined) throw failures[0];
    }
    this.#backupFailure = undefined;
  }

  async #bringBackup(
    id: Parameters<typeof copyBackup>[3],
    identity: ClusterIdentity,
    signal: AbortSignal,
  ): Promise<void> {
    const { catalog, cluster, sources, target } = this.#place;
    const { log } = this.#deps;
    const holders = (await catalog.backups(cluster))
      .filter((backup) => backup.id === id && backup.state === 'complete')
      .map(({ repository }) => repository);
    let failure: unknown;
    for (const from of byPreference(sources.filter(({ name }) => holders.includes(name)))) {
      try {
        await copyBackup(this.#deps, { cluster, identity }, { from, to: target }, id, { signal });
        log.info({ cluster, backup: id, repository: target.name }, `backup ${id} is in repository ${target.name} too`);
        return;
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
      }
    }
    if (failure !== undefined) throw toWaldenError(failure);
  }

  #told(thrown: unknown, before: FillFailure | undefined): FillFailure {
    const error = toWaldenError(thrown);
    const { cluster, target } = this.#place;
    // Once, not at every attempt of a long outage.
    if (before?.error.message !== error.message) {
      const facts = { cluster, repository: target.name, error: errorToDocument(error) };
      this.#deps.log.warn(facts, `repository ${target.name} is not filled: ${error.message}`);
    }
    return { error, since: before?.since ?? this.#deps.clock.now() };
  }
}

function* namesOf(
  others: readonly WalFileRecord[],
  segments: readonly SegmentRun[],
  { segmentBytes }: ClusterIdentity,
): Generator<WalFileName> {
  for (const { name } of others) yield name;
  for (const { timeline, first, last } of segments) {
    for (let number = first; number <= last; number += 1n) yield segmentName(timeline, number, segmentBytes);
  }
}
