import type { Catalog } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { Repository } from '../repository/repository.ts';

/** What backups say to the operator's log. */
export interface BackupLog {
  info(facts: Readonly<Record<string, unknown>>, message: string): void;
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
}

/** What is needed to look after the backups of a cluster. */
export interface BackupKeeping {
  readonly catalog: Catalog;
  readonly log: BackupLog;
}

/** What is needed to take one. */
export interface BackupDeps extends BackupKeeping {
  readonly repositories: readonly Repository[];
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Version of Walden, for the record. */
  readonly version: string;
  /** For packs on their way, where the first repository has no place of its own for them. */
  readonly stagingDirectory: string;
}
