import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { Catalog, ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import { readClusterFile } from '../repository/cluster-file.ts';
import { clusterName } from '../repository/names.ts';
import type { Repository } from '../repository/repository.ts';
import { cloneCluster } from '../restore/clone.ts';
import { makePlan } from '../restore/plan.ts';
import { restoreCluster } from '../restore/restore-cluster.ts';
import { openWalObject } from '../wal/open-object.ts';
import { backupDocuments, backupFiles, findBackup } from './answers/backups.ts';
import type {
  BackupDocument,
  BackupFileDocument,
  BackupListDocument,
  CloneRequest,
  PlanDocument,
  RestoreRequest,
} from './api.ts';
import type { JobControls } from './jobs.ts';
import type { OfflineWalden } from './offline.ts';

export interface OfflineDeps {
  readonly repository: Repository;
  /** For people. */
  readonly place: string;
  /** For a node that recovers from this repository without a service. */
  readonly restoreCommand: (cluster: ClusterName) => string;
  /** How the configuration, if there is one, reaches the primary of a cluster. */
  readonly primary: (cluster: ClusterName) => string | undefined;
  /** What that node needs besides the repository: files or directories with keys. */
  readonly keys: readonly string[];
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Reads one cluster of the repository into a catalog; damaged objects are noted and passed over. */
  readonly loadCatalog: (cluster: ClusterName, note: (text: string) => void) => Promise<Catalog>;
  /** Says something to the operator beside the answer. */
  readonly note: (text: string) => void;
}

/** The repository alone answers. A single WAL file is fetched without a look at anything else. */
export class RepositoryWalden implements OfflineWalden {
  readonly #deps: OfflineDeps;
  readonly #catalogs = new Map<ClusterName, Promise<Catalog>>();

  constructor(deps: OfflineDeps) {
    this.#deps = deps;
  }

  async list(cluster: string): Promise<BackupListDocument> {
    const { catalog, name } = await this.#look(cluster);
    const documentOf = await backupDocuments({ catalog, clock: this.#deps.clock }, name);
    return { cluster: name, backups: (await catalog.backups(name)).map(documentOf) };
  }

  async show(cluster: string, id: string): Promise<BackupDocument> {
    const { catalog, name } = await this.#look(cluster);
    const backup = await findBackup(catalog, name, id);
    return (await backupDocuments({ catalog, clock: this.#deps.clock }, name))(backup);
  }

  async *files(cluster: string, id: string): AsyncGenerator<BackupFileDocument> {
    const { catalog, name } = await this.#look(cluster);
    yield* backupFiles([this.#deps.repository], await findBackup(catalog, name, id));
  }

  async plan(cluster: string, request: RestoreRequest): Promise<PlanDocument> {
    const { catalog, name } = await this.#look(cluster);
    return await makePlan(this.#restoreDeps(catalog), name, request);
  }

  async restore(cluster: string, request: RestoreRequest, controls: JobControls): Promise<unknown> {
    const { catalog, name } = await this.#look(cluster);
    const restoreCommand = this.#deps.restoreCommand(name);
    const order = { cluster: name, request, restoreCommand };
    const result = await restoreCluster(this.#restoreDeps(catalog), order, controls);
    return { ...result, warnings: [...result.warnings, ...this.#deps.keys.map(keptKey)] };
  }

  async clone(cluster: string, request: CloneRequest, controls: JobControls): Promise<unknown> {
    const { catalog, name } = await this.#look(cluster);
    const { restoreCommand, primary, keys } = this.#deps;
    const order = { cluster: name, request, restoreCommand: restoreCommand(name), configuredPrimary: primary(name) };
    const result = await cloneCluster(this.#restoreDeps(catalog), order, controls);
    return { ...result, warnings: [...result.warnings, ...keys.map(keptKey)] };
  }

  async fetchWal(cluster: string, name: string, targetPath: string): Promise<'restored' | 'absent'> {
    const { repository, pool } = this.#deps;
    const file = parseWalName(name);
    const known = clusterName(cluster);
    const staged = join(dirname(targetPath), `.${file.name}.${randomUUID()}`);
    const identity = await this.#identity(known);
    try {
      await openWalObject({ cluster: known, identity, pool }, repository, file, staged);
      await rename(staged, targetPath);
      return 'restored';
    } catch (error) {
      await rm(staged, { force: true });
      if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return 'absent';
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const loading of this.#catalogs.values()) {
      // One that could not be loaded has told its error already.
      const catalog = await loading.catch(() => undefined);
      await catalog?.close();
    }
    await this.#deps.pool.close();
    await this.#deps.repository.driver.close();
  }

  #restoreDeps(catalog: Catalog): {
    readonly catalog: Catalog;
    readonly repositories: readonly Repository[];
    readonly pool: WorkerPool;
    readonly clock: Clock;
  } {
    const { repository, pool, clock } = this.#deps;
    return { catalog, repositories: [repository], pool, clock };
  }

  async #look(cluster: string): Promise<{ readonly catalog: Catalog; readonly name: ClusterName }> {
    const name = clusterName(cluster);
    await this.#identity(name);
    const catalog = this.#catalogs.get(name) ?? this.#deps.loadCatalog(name, this.#deps.note);
    this.#catalogs.set(name, catalog);
    return { catalog: await catalog, name };
  }

  async #identity(cluster: ClusterName): Promise<ClusterIdentity> {
    const identity = (await readClusterFile(this.#deps.repository, cluster))?.history.at(-1);
    if (identity !== undefined) return identity;
    throw new WaldenError('NOT_FOUND', `the repository ${this.#deps.place} has no cluster ${cluster}`, {
      hint: 'the clusters of a repository are the directories in it',
    });
  }
}

/** Whoever restores is not always who runs the server: recovery that cannot read the key stops at its first file. */
function keptKey(path: string): string {
  return `its restore_command reads ${path}: leave it there, owned by the user of PostgreSQL, while the server fetches WAL`;
}
