import { isDeepStrictEqual } from 'node:util';
import { isWaldenError, WaldenError } from '../errors.ts';
import { readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { byPreference, type Repository } from '../repository/repository.ts';
import { OTHER_MAY_SERVE } from './plan.ts';

/**
 * Where one backup can be read from: the planned repository first, and while that fails any other that holds the same
 * backup. Whether another does is asked only when it is needed.
 */
export class BackupSources {
  readonly #backup: StoredBackup;
  readonly #note: (text: string) => void;
  readonly #others: readonly Repository[];
  #known: readonly Repository[];
  #looked: Promise<void> | undefined;

  /** `note` is told, in words, what could not be read where. */
  constructor(
    backup: StoredBackup,
    planned: Repository,
    repositories: readonly Repository[],
    note: (text: string) => void,
  ) {
    this.#backup = backup;
    this.#note = note;
    this.#known = [planned];
    this.#others = repositories.filter((other) => other !== planned);
  }

  /** The outcome of `read` on the first that is able to. @throws the first one's failure when none is */
  async firstOf<Result>(signal: AbortSignal, read: (repository: Repository) => Promise<Result>): Promise<Result> {
    const failures: WaldenError[] = [];
    const tried = new Set<Repository>();
    for (;;) {
      const repository = byPreference(this.#known).find((known) => !tried.has(known));
      if (repository === undefined) {
        if (this.#looked === undefined && this.#others.length > 0) {
          await (this.#looked = this.#lookForOthers(signal));
          continue;
        }
        await this.#looked;
        if (this.#known.every((known) => tried.has(known)))
          throw failures[0] ?? new WaldenError('INTERNAL', 'a backup without a source');
        continue;
      }
      tried.add(repository);
      try {
        return await read(repository);
      } catch (error) {
        if (signal.aborted || !isWaldenError(error, ...OTHER_MAY_SERVE, 'STORAGE_SIZE')) throw error;
        failures.push(error);
        if (this.#others.length > 0) this.#note(`repository ${repository.name}: ${error.message}`);
      }
    }
  }

  async #lookForOthers(signal: AbortSignal): Promise<void> {
    const { start, facts, packs, manifest } = this.#backup;
    const same: Repository[] = [];
    for (const repository of this.#others) {
      try {
        const other = await readBackupRecord(repository, start.cluster, start.id, signal);
        if (isDeepStrictEqual([other.facts, other.packs, other.manifest], [facts, packs, manifest]))
          same.push(repository);
      } catch {
        // It does not help then, for whatever reason; what is told is why the planned one fails.
      }
    }
    this.#known = [...this.#known, ...same];
  }
}
