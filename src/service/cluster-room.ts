import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, WaldenError } from '../errors.ts';
import type { ClusterIdentity } from '../../catalog/catalog.ts';
import type { ClusterConfig } from '../config/config.ts';
import { scriptConfig } from '../config/script-config.ts';
import { syncFile } from '../platform/files.ts';
import { readControlFile } from '../postgres/control-file.ts';
import { ensureClusterFile, readClusterFile } from '../repository/cluster-file.ts';
import type { Repository } from '../repository/repository.ts';
import type { ArchiveContext } from '../wal/archive-context.ts';
import { WalFetcher } from '../wal/fetch.ts';
import { WalPusher } from '../wal/push.ts';
import { Spool } from '../wal/spool.ts';
import type { ServiceDeps } from './deps.ts';

interface OpenedCluster {
  readonly context: ArchiveContext;
  readonly pusher: WalPusher;
  readonly fetcher: WalFetcher;
}

/**
 * One configured cluster inside the service. Its identity may not be known at the start (a new cluster, a data directory
 * that is not there yet): it is asked for at the first use, and a failure is told to that caller only.
 */
export class ClusterRoom {
  readonly config: ClusterConfig;
  readonly repositories: readonly Repository[];
  readonly spool: Spool;
  readonly #deps: ServiceDeps;
  #opened: Promise<OpenedCluster> | undefined;

  constructor(deps: ServiceDeps, config: ClusterConfig) {
    this.#deps = deps;
    this.config = config;
    this.spool = new Spool(config.spoolDirectory);
    this.repositories = config.repositories.map((name) => {
      const repository = deps.repositories.get(name);
      if (repository === undefined) throw new WaldenError('INTERNAL', `repository ${name} was not opened`);
      return repository;
    });
  }

  /** Where the scripts find their variables; written at every start. */
  get scriptConfigPath(): string {
    return join(this.config.spoolDirectory, 'script.conf');
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  async prepare(): Promise<void> {
    await this.spool.open();
    await this.spool.sweep();
    const staged = `${this.scriptConfigPath}.tmp`;
    const text = scriptConfig(this.config, this.#deps.config.service.socket, this.scriptConfigPath);
    // As it is: then a full disk is no reason not to start.
    if ((await readFile(this.scriptConfigPath, 'utf8').catch(() => undefined)) === text) return;
    try {
      await writeFile(staged, text, { mode: 0o644 });
      // A torn one would leave PostgreSQL without its commands after a power failure.
      await syncFile(staged);
      await rename(staged, this.scriptConfigPath);
    } catch (error) {
      throw localIoError(error, `unable to write ${this.scriptConfigPath}`);
    }
  }

  async pusher(): Promise<WalPusher> {
    return (await this.#open()).pusher;
  }

  async fetcher(): Promise<WalFetcher> {
    return (await this.#open()).fetcher;
  }

  async context(): Promise<ArchiveContext> {
    return (await this.#open()).context;
  }

  async stop(): Promise<void> {
    // A cluster that could not be opened has nothing to stop.
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.pusher.stop();
    await opened?.fetcher.stop();
  }

  #open(): Promise<OpenedCluster> {
    this.#opened ??= this.#openOnce().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #openOnce(): Promise<OpenedCluster> {
    const { catalog, pool, clock, config } = this.#deps;
    const identity = await this.#identity();
    await this.spool.claim(identity.systemIdentifier);
    const stagingDirectory = join(config.service.stateDirectory, 'staging');
    await mkdir(stagingDirectory, { recursive: true, mode: 0o750 }).catch((error: unknown) => {
      throw localIoError(error, `unable to make ${stagingDirectory}`);
    });
    const context: ArchiveContext = {
      cluster: this.config.name,
      identity,
      catalog,
      repositories: this.repositories,
      pool,
      clock,
      compressionLevel: this.config.walCompressionLevel,
      stagingDirectory,
    };
    const place = { dataDirectory: this.config.dataDirectory, spool: this.spool };
    return { context, pusher: new WalPusher(context, place), fetcher: new WalFetcher(context, this.spool) };
  }

  /**
   * What the repositories say this cluster is; for a new cluster, what its data directory says. Each repository and the
   * catalog are made to agree before anything is stored. @throws SERVER_MISMATCH
   */
  async #identity(): Promise<ClusterIdentity> {
    let identity: ClusterIdentity | undefined;
    for (const repository of this.repositories) {
      identity ??= (await readClusterFile(repository, this.config.name))?.history.at(-1);
    }
    if (identity === undefined) {
      const control = await readControlFile(this.config.dataDirectory);
      const { systemIdentifier, majorVersion, segmentBytes } = control;
      identity = { systemIdentifier, majorVersion, segmentBytes };
    }
    for (const repository of this.repositories) await ensureClusterFile(repository, this.config.name, identity);
    await this.#deps.catalog.registerCluster(this.config.name, identity);
    return identity;
  }
}
