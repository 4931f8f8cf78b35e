import type { Catalog, ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { ServiceInstance } from '../repository/backup-claim.ts';

/** What copying between repositories needs. */
export interface CopyDeps {
  readonly catalog: Catalog;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Whose copies they are, among the services that use the same repositories. */
  readonly instance: ServiceInstance;
  /** For files on their way. */
  readonly stagingDirectory: string;
}

/** Whose objects are copied. */
export interface CopiedCluster {
  readonly cluster: ClusterName;
  readonly identity: ClusterIdentity;
}

export interface CopyControls {
  readonly signal: AbortSignal;
  /** After each object that the other repository holds now: its stored bytes, and whether they were there before. */
  readonly onDone?: (bytes: number, how: 'copied' | 'present') => void;
}
