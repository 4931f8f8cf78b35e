import type { BackupId, ClusterName, RepositoryName } from '../catalog.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';

/** One WAL file or backup in one repository. */
export interface ChangedEntry<Name extends string> {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly name: Name;
}

/** What changed in a catalog since another one began to be filled beside it. */
export class Changes {
  readonly #files = new Map<string, ChangedEntry<WalFileName>>();
  readonly #backups = new Map<string, ChangedEntry<BackupId>>();
  readonly #holds = new Map<string, ChangedEntry<BackupId>>();
  readonly #expired = new Map<string, Omit<ChangedEntry<BackupId>, 'name'>>();

  walFile(repository: RepositoryName, cluster: ClusterName, name: WalFileName): void {
    this.#files.set(keyOf(repository, cluster, name), { repository, cluster, name });
  }

  backup(repository: RepositoryName, cluster: ClusterName, name: BackupId): void {
    this.#backups.set(keyOf(repository, cluster, name), { repository, cluster, name });
  }

  hold(repository: RepositoryName, cluster: ClusterName, name: BackupId): void {
    this.#holds.set(keyOf(repository, cluster, name), { repository, cluster, name });
  }

  /** What retention removed from the archive was recorded. */
  expired(repository: RepositoryName, cluster: ClusterName): void {
    this.#expired.set(keyOf(repository, cluster, ''), { repository, cluster });
  }

  has(repository: RepositoryName, cluster: ClusterName, name: string): boolean {
    const key = keyOf(repository, cluster, name);
    return this.#files.has(key) || this.#backups.has(key) || this.#holds.has(key);
  }

  get walFiles(): Iterable<ChangedEntry<WalFileName>> {
    return this.#files.values();
  }

  get holds(): Iterable<ChangedEntry<BackupId>> {
    return this.#holds.values();
  }

  get expiredArchives(): Iterable<Omit<ChangedEntry<BackupId>, 'name'>> {
    return this.#expired.values();
  }

  get backups(): Iterable<ChangedEntry<BackupId>> {
    return this.#backups.values();
  }
}

/** None of the three can hold a slash. */
function keyOf(repository: RepositoryName, cluster: ClusterName, name: string): string {
  return `${repository}/${cluster}/${name}`;
}
