import type { BackupId, Catalog, ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { Repository } from '../repository/repository.ts';

export interface VerifyDeps {
  readonly catalog: Catalog;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly log: {
    info(facts: Readonly<Record<string, unknown>>, message: string): void;
    error(facts: Readonly<Record<string, unknown>>, message: string): void;
  };
}

export interface VerifyOrder {
  readonly cluster: ClusterName;
  readonly identity: ClusterIdentity;
  readonly repositories: readonly Repository[];
  /** Only this backup, what it builds on, and the WAL that makes it consistent. */
  readonly backup: BackupId | undefined;
  /** How much is read; undefined: everything. */
  readonly limit: VerifyLimit | undefined;
}

/** `share`: of the stored bytes of each repository, above 0 up to 1. `bytes`: in all, shared evenly by the repositories. */
export type VerifyLimit =
  { readonly kind: 'share'; readonly share: number } | { readonly kind: 'bytes'; readonly bytes: number };

/** What was done in one repository: JSON. */
export interface RepositoryVerification {
  readonly repository: string;
  readonly objects: number;
  readonly bytes: number;
  /** All that are damaged or missing, those found earlier too; the first hundred. */
  readonly damaged: readonly { readonly key: string; readonly message: string }[];
  readonly damagedObjects: number;
  /** Marked before, and right now. */
  readonly rightAgain: readonly string[];
  /** Segments that are missing between others on the way of a recovery. */
  readonly holes: readonly { readonly timeline: number; readonly first: string; readonly last: string }[];
  /** Backups that can be recovered from here, and those that cannot. */
  readonly backups: number;
  readonly unusable: readonly { readonly backup: string; readonly message: string }[];
  /** Why it was not, or not wholly, looked at. */
  readonly failure: { readonly code: string; readonly message: string; readonly hint: string } | null;
}

export interface VerifyResult {
  readonly cluster: string;
  readonly repositories: readonly RepositoryVerification[];
}
