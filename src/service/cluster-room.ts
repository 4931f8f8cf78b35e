import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorToDocument, localIoError, toWaldenError, WaldenError } from '../errors.ts';
import type { ClusterIdentity, RepositoryName } from '../../catalog/catalog.ts';
import { type ClusterConfig, withPrimary } from '../config/config.ts';
import { scriptConfig, scriptConfigPath } from '../config/script-config.ts';
import { RepositoryFiller } from '../copy/filler.ts';
import { bootId } from '../platform/boot.ts';
import { syncFile } from '../platform/files.ts';
import { ensureClusterFile, readClusterFile } from '../repository/cluster-file.ts';
import { byPreference, type Repository } from '../repository/repository.ts';
import type { ArchiveContext } from '../wal/archive-context.ts';
import { WalFetcher } from '../wal/fetch.ts';
import type { WalFileSource } from '../wal/file-source.ts';
import { WalPusher } from '../wal/push.ts';
import { WalReceiver } from '../wal/receive/receiver.ts';
import { UnfinishedUploads } from '../wal/receive/unfinished-uploads.ts';
import { Spool } from '../wal/spool.ts';
import { askNode } from './ask-node.ts';
import type { ServiceDeps } from './deps.ts';
import { OrderedReceiver } from './ordered-receiver.ts';
import { ReceiverOrderFile } from './receiver-orders.ts';

/** A server that keeps silent is asked after this time, and lost after three of them. */
const SILENCE_MS = 10_000;

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
  /** In the configured order. */
  readonly repositories: readonly Repository[];
  /** Those that must hold a WAL file before it is acknowledged. */
  readonly required: readonly Repository[];
  readonly spool: Spool;
  readonly #deps: ServiceDeps;
  #archivedFiles = 0;
  #opened: Promise<OpenedCluster> | undefined;
  #stopped = false;
  /** Whose `cluster.json` was seen to be this cluster's. */
  readonly #recognised = new Set<Repository>();
  /** One for each repository that is not required: what they lack is brought to them in the background. */
  readonly fillers: readonly RepositoryFiller[];
  /** Where WAL is received over the replication protocol. */
  readonly receiving: OrderedReceiver | undefined;
  /** Stores what is being received as far as it has come, where that is wanted. */
  readonly unfinished: UnfinishedUploads | undefined;

  constructor(deps: ServiceDeps, config: ClusterConfig) {
    this.#deps = deps;
    this.config = config;
    this.spool = new Spool(config.spoolDirectory);
    this.repositories = config.repositories.map((name) => {
      const repository = deps.repositories.get(name);
      if (repository === undefined) throw new WaldenError('INTERNAL', `repository ${name} was not opened`);
      return repository;
    });
    this.required = this.repositories.filter(({ name }) => config.required.includes(name));
    this.fillers = this.repositories
      .filter(
        ({ name }) => !config.required.includes(name) && deps.config.repositories.get(name)?.access !== 'read-only',
      )
      .map((target) => this.#fillerOf(target));
    this.receiving = this.#receiverOf(config);
    this.unfinished = this.#unfinishedOf(config);
  }

  /** WAL files that were archived, or found to be, since the service began. */
  get archivedFiles(): number {
    return this.#archivedFiles;
  }

  get receiver(): WalReceiver | undefined {
    return this.receiving?.receiver;
  }

  /** The configuration, with the primary that an operator has named over the one that it does. */
  get ordered(): ClusterConfig {
    const follows = this.receiving?.orders.follows;
    return follows === undefined ? this.config : withPrimary(this.config, follows.conninfo);
  }

  get stagingDirectory(): string {
    return join(this.#deps.config.service.stateDirectory, 'staging');
  }

  /** In which order a restore is planned: what is behind the others may still serve, but comes last. */
  async forRestore(): Promise<readonly Repository[]> {
    const behind = new Set<Repository>();
    for (const filler of this.fillers) {
      const { walFiles, backups } = await filler.lag();
      if (walFiles + backups > 0) behind.add(filler.target);
    }
    const ranked = byPreference(this.repositories);
    return [...ranked.filter((one) => !behind.has(one)), ...ranked.filter((one) => behind.has(one))];
  }

  startFillers(which: (target: Repository) => boolean = () => true): void {
    if (!this.#stopped) for (const filler of this.fillers) if (which(filler.target)) filler.start();
  }

  /** There may be something to bring to the repositories that are not required. */
  wakeFillers(): void {
    for (const filler of this.fillers) filler.wake();
  }

  /** Where the scripts find their variables; written at every start. */
  get scriptConfigPath(): string {
    return scriptConfigPath(this.config);
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  async prepare(): Promise<void> {
    await this.spool.open();
    await this.spool.sweep();
    await this.receiving?.prepare();
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
    await this.assertWritable();
    return (await this.#open()).pusher;
  }

  /** Makes sure that each required repository knows this cluster as its own. @throws SERVER_MISMATCH, and as the stores */
  async assertWritable(): Promise<void> {
    const { context } = await this.#open();
    for (const repository of this.required) await this.recognise(repository, context.identity);
  }

  /** The same of one repository. Nothing is stored in it before. */
  async recognise(repository: Repository, identity: ClusterIdentity): Promise<void> {
    if (this.#recognised.has(repository)) return;
    await ensureClusterFile(repository, this.config.name, identity);
    this.#recognised.add(repository);
  }

  async fetcher(): Promise<WalFetcher> {
    return (await this.#open()).fetcher;
  }

  async context(): Promise<ArchiveContext> {
    return (await this.#open()).context;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.fillers.map((filler) => filler.stop()));
    // What it handed on and has not begun yet is refused by the pusher, which stops at the same time.
    const received = Promise.all([this.receiver?.stop(), this.unfinished?.stop()]);
    // A cluster that could not be opened has nothing to stop.
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.pusher.stop();
    await received;
    await opened?.fetcher.stop();
  }

  readonly #noteFetch = (repository: RepositoryName, passedOver: WaldenError | undefined): void => {
    const { name: cluster } = this.config;
    const message = `WAL of ${cluster} is fetched from repository ${repository}`;
    if (passedOver === undefined) this.#deps.log.info({ cluster, repository }, message);
    else this.#deps.log.warn({ cluster, repository, error: errorToDocument(passedOver) }, message);
  };

  #receiverOf({ name, receive, spoolDirectory }: ClusterConfig): OrderedReceiver | undefined {
    if (receive === undefined) return undefined;
    const { clock, log, config } = this.#deps;
    // Repositories that are away, or not recognised yet, must not keep WAL out of the spool.
    const open = (): Promise<ArchiveContext> => this.context();
    const archive = async (file: string, source: WalFileSource): Promise<void> => {
      const pusher = await this.pusher();
      await pusher.pushFrom(file, source);
    };
    const receiver = new WalReceiver(
      { clock, log, open, archive },
      { ...receive, spoolDirectory, silenceMs: SILENCE_MS },
    );
    const file = new ReceiverOrderFile(config.service.stateDirectory, name);
    return new OrderedReceiver({ receiver, file, conninfo: receive.conninfo, open, clock, log });
  }

  #unfinishedOf({ receive }: ClusterConfig): UnfinishedUploads | undefined {
    const source = this.receiver?.tail;
    if (receive?.partialIntervalSeconds === undefined || source === undefined) return undefined;
    const { clock, log } = this.#deps;
    const open = async (): Promise<ArchiveContext> => {
      await this.assertWritable();
      return await this.context();
    };
    return new UnfinishedUploads({ source, intervalMs: receive.partialIntervalSeconds * 1000, clock, log, open });
  }

  #fillerOf(target: Repository): RepositoryFiller {
    const { catalog, pool, clock, instance, log } = this.#deps;
    const { stagingDirectory } = this;
    const recognise = async (): Promise<ClusterIdentity> => {
      const { identity } = await this.context();
      await this.recognise(target, identity);
      return identity;
    };
    return new RepositoryFiller(
      { catalog, pool, clock, instance, log, stagingDirectory, recognise },
      { catalog, cluster: this.config.name, target, sources: this.repositories.filter((other) => other !== target) },
    );
  }

  #open(): Promise<OpenedCluster> {
    this.#opened ??= this.#openOnce().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #openOnce(): Promise<OpenedCluster> {
    const { catalog, pool, clock } = this.#deps;
    const identity = await this.#identity();
    await this.spool.claim(identity.systemIdentifier, await bootId());
    const { stagingDirectory } = this;
    await mkdir(stagingDirectory, { recursive: true, mode: 0o750 }).catch((error: unknown) => {
      throw localIoError(error, `unable to make ${stagingDirectory}`);
    });
    const context: ArchiveContext = {
      cluster: this.config.name,
      identity,
      catalog,
      repositories: this.repositories,
      required: this.required,
      pool,
      clock,
      compressionLevel: this.config.walCompressionLevel,
      stagingDirectory,
    };
    const archived = (): void => {
      this.#archivedFiles += 1;
      this.wakeFillers();
    };
    const place = { dataDirectory: this.config.dataDirectory, spool: this.spool, archived };
    return {
      context,
      pusher: new WalPusher(context, place),
      fetcher: new WalFetcher(context, this.spool, this.#noteFetch),
    };
  }

  /**
   * What the repositories say this cluster is; for a new cluster, what its node says. A repository that is away
   * does not matter while another one or the catalog knows the cluster, or when it is not required: nothing is stored in
   * it before it is recognised.
   * @throws SERVER_MISMATCH, and why a required repository could not be asked, when nobody else knows
   */
  async #identity(): Promise<ClusterIdentity> {
    const { catalog } = this.#deps;
    let failure: WaldenError | undefined;
    let identity: ClusterIdentity | undefined;
    for (const repository of byPreference(this.repositories)) {
      try {
        identity ??= (await readClusterFile(repository, this.config.name))?.history.at(-1);
      } catch (error) {
        if (this.required.includes(repository)) failure ??= toWaldenError(error);
      }
    }
    identity ??= await catalog.clusterIdentity(this.config.name);
    if (identity === undefined) {
      // A new cluster is one that no required repository knows.
      if (failure !== undefined) throw failure;
      identity = await askNode(this.config);
    }
    await catalog.registerCluster(this.config.name, identity);
    return identity;
  }
}
