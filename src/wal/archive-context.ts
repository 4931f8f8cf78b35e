import type { Catalog, ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { Repository } from '../repository/repository.ts';

/** What archiving and fetching WAL of one cluster need. */
export interface ArchiveContext {
  readonly cluster: ClusterName;
  readonly identity: ClusterIdentity;
  readonly catalog: Catalog;
  /** All of the cluster, in the configured order. */
  readonly repositories: readonly Repository[];
  /** Those that the cluster requires: an acknowledgement follows durability in every one. */
  readonly required: readonly Repository[];
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly compressionLevel: number;
  /** For staged files where a repository has no staging directory of its own. */
  readonly stagingDirectory: string;
}
