import type { BackupId, Catalog, ClusterIdentity } from '../../catalog/catalog.ts';
import type { ClusterConfig } from '../config/config.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { ServiceInstance } from '../repository/backup-claim.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupProgress } from './progress.ts';

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

/** What is needed to remove what failed ones left. */
export interface BackupSweeping extends BackupKeeping {
  readonly clock: Clock;
  /** What other services of the same repository take is not this one's to remove. */
  readonly instance: ServiceInstance;
}

/** What is needed to take one. */
export interface BackupDeps extends BackupSweeping {
  readonly repositories: readonly Repository[];
  readonly pool: WorkerPool;
  /** Version of Walden, for the record. */
  readonly version: string;
  /** For packs on their way, where the first repository has no place of its own for them. */
  readonly stagingDirectory: string;
}

export interface BackupRequest {
  readonly cluster: Pick<ClusterConfig, 'name' | 'backup' | 'receive'>;
  readonly identity: ClusterIdentity;
  /** Files read at the same time. */
  readonly workers: number;
  /** Of zstd. */
  readonly compressionLevel: number;
  /** For people; PostgreSQL writes it into backup_label. */
  readonly label: string;
  /** For an incremental backup: the one to build on, or `newest` for the newest that will do. Undefined: a full one. */
  readonly parent?: BackupId | 'newest' | undefined;
  /** How long to wait for WAL while none arrives; 180 unless told. */
  readonly walPatienceSeconds?: number;
  /** How long PostgreSQL may send nothing of a base backup that it has begun to send; 300 s unless told. */
  readonly silenceMs?: number;
  /** Size at which a pack is closed; 512 MiB unless told. */
  readonly packBytes?: number;
}

export interface BackupControls {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: BackupProgress) => void;
}
