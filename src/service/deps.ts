import type { FastifyBaseLogger } from 'fastify';
import type { Catalog, RepositoryName } from '../../catalog/catalog.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { ServiceInstance } from '../repository/backup-claim.ts';
import type { RebuildPart } from '../repository/rebuild-and-replace.ts';
import type { Repository } from '../repository/repository.ts';

/** Says something to the operator's log. Facts are structured; no secrets. */
export interface ServiceLog {
  info(facts: Readonly<Record<string, unknown>>, message: string): void;
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
  error(facts: Readonly<Record<string, unknown>>, message: string): void;
}

/** The log as the HTTP server takes it. */
export type ServiceLogger = FastifyBaseLogger;

/** What the service is made of; compose.ts puts it together. */
export interface ServiceDeps {
  readonly config: Config;
  readonly version: string;
  readonly catalog: Catalog;
  readonly repositories: ReadonlyMap<RepositoryName, Repository>;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Tells this service from others that use the same repositories. */
  readonly instance: ServiceInstance;
  readonly log: ServiceLog;
  /** Builds the catalog anew beside the old one, swaps it in, and says what differed: all of it, or what can be read now. */
  readonly rebuildCatalog: (signal: AbortSignal, part?: RebuildPart) => Promise<readonly string[]>;
}
