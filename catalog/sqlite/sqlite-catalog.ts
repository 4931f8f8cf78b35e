import type {
  BackupFacts,
  BackupId,
  BackupRecord,
  BackupStart,
  ClusterIdentity,
  ClusterName,
  CommitBounds,
  EventQuery,
  EventRecord,
  ExpiredArchive,
  HoldRecord,
  JobRecord,
  RepositoryName,
  RestorePoint,
  ScheduleState,
  SegmentSpan,
  WalFileRecord,
  WalRange,
  WalRefusal,
} from '../catalog.ts';
import { type ErrorDocument, toWaldenError, WaldenError } from '../../src/errors.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { CatalogReplacement, ReplaceableCatalog } from '../replacement.ts';
import type { ArchiveId } from './archives.ts';
import { removeCatalogFiles } from './catalog-files.ts';
import { Changes } from './changes.ts';
import type { Durability } from './database.ts';
import { Engine } from './engine.ts';
import type { FinishedJob, NewJob } from './jobs.ts';
import { catalogProblems } from './problems.ts';
import { SqliteNodes } from './sqlite-nodes.ts';
import { SqliteProof } from './sqlite-proof.ts';
import { SqliteWriters } from './sqlite-writers.ts';
import { nextPath, swapFiles, sweepReplacements } from './swap.ts';
import { openTables, type Tables } from './tables.ts';

const PAGE_FILES = 500;

/**
 * The catalog in one SQLite file. Several processes may open it; each call is one transaction of its own.
 *
 * Besides what each method names, every call @throws CATALOG_CORRUPT, STORAGE_FULL or LOCAL_IO when the file fails.
 */
export class SqliteCatalog implements ReplaceableCatalog {
  readonly #path: string;
  readonly #engine: Engine;
  /** Kept only while a new catalog is being filled. */
  #changes: Changes | undefined;
  readonly proof: SqliteProof;
  readonly nodes: SqliteNodes;
  readonly writers: SqliteWriters;

  private constructor(path: string, tables: Tables, durability: Durability) {
    this.#path = path;
    this.#engine = new Engine(path, tables, { isDurable: durability === 'each-call' });
    this.proof = new SqliteProof(this.#engine);
    this.nodes = new SqliteNodes(this.#engine);
    this.writers = new SqliteWriters(this.#engine);
  }

  /** For the one process that owns the file: also removes what a rebuild left that was killed. @throws as `open` */
  static openOwn(path: string): SqliteCatalog {
    sweepReplacements(path);
    return SqliteCatalog.open(path);
  }

  /**
   * Opens or creates the file; ':memory:' is a catalog that ends with its process.
   * @throws CATALOG_CORRUPT, CATALOG_TOO_NEW, LOCAL_IO
   */
  static open(path: string, options: { readonly durability?: Durability } = {}): SqliteCatalog {
    const { durability = 'each-call' } = options;
    return new SqliteCatalog(path, openTables(path, durability), durability);
  }

  registerCluster(name: ClusterName, identity: ClusterIdentity): Promise<'registered' | 'known'> {
    return this.#engine.write('register a cluster', ({ clusters }) => clusters.register(name, identity));
  }

  clusterIdentity(name: ClusterName): Promise<ClusterIdentity | undefined> {
    return this.#engine.read(({ clusters }) => clusters.identity(name));
  }

  clusters(): Promise<readonly ClusterName[]> {
    return this.#engine.read(({ clusters }) => clusters.names());
  }

  recordWalFile(file: WalFileRecord): Promise<'recorded' | 'already-recorded'> {
    this.#changes?.walFile(file.repository, file.cluster, file.name);
    return this.#engine.write(`record ${file.name}`, ({ walFiles }) => walFiles.record(file));
  }

  walFile(repository: RepositoryName, cluster: ClusterName, name: WalFileName): Promise<WalFileRecord | undefined> {
    return this.#engine.read(({ walFiles }) => walFiles.find(repository, cluster, name));
  }

  /** In pages, each a read of its own: files that come or go meanwhile may or may not be seen, all others once. */
  async *walFiles(repository: RepositoryName, cluster: ClusterName): AsyncGenerator<WalFileRecord, void, undefined> {
    for (let after: string | undefined = ''; after !== undefined;) {
      const from: string = after;
      const page = await this.#engine.read(({ walFiles }) => walFiles.page(repository, cluster, from, PAGE_FILES));
      yield* page;
      after = page.length < PAGE_FILES ? undefined : page.at(-1)?.name;
    }
  }

  forgetWalFile(repository: RepositoryName, cluster: ClusterName, name: WalFileName): Promise<void> {
    this.#changes?.walFile(repository, cluster, name);
    return this.#engine.write(`forget ${name}`, ({ archives, walFiles, verified, damaged }) => {
      const { kind, timeline, segment } = walFiles.find(repository, cluster, name) ?? {};
      const archive = archives.find(repository, cluster);
      if (archive !== undefined) walFiles.forget(archive, name);
      damaged.forget(repository, cluster, { kind: 'wal', name });
      if (kind !== 'segment' || timeline === undefined || segment === undefined) return;
      verified.cut(repository, cluster, { kind: 'wal', timeline }, { first: segment, last: segment });
    });
  }

  walRanges(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalRange[]> {
    return this.#ofArchive(repository, cluster, [], ({ ranges }, archive) => ranges.all(archive));
  }

  timelineHistories(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalFileRecord[]> {
    return this.#engine.read(({ walFiles }) => walFiles.histories(repository, cluster));
  }

  otherWalFiles(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalFileRecord[]> {
    return this.#engine.read(({ walFiles }) => walFiles.others(repository, cluster));
  }

  commitBounds(repository: RepositoryName, cluster: ClusterName, span: SegmentSpan): Promise<CommitBounds> {
    const none = { first: undefined, last: undefined };
    return this.#ofArchive(repository, cluster, none, ({ blocks }, archive) => blocks.bounds(archive, span));
  }

  firstSegmentWithCommitAfter(
    repository: RepositoryName,
    cluster: ClusterName,
    span: SegmentSpan,
    time: Micros,
    orEqual: boolean,
  ): Promise<bigint | undefined> {
    const from = orEqual ? time : time + 1;
    return this.#ofArchive(repository, cluster, undefined, ({ blocks }, archive) =>
      blocks.firstWithCommitFrom(archive, span, from),
    );
  }

  restorePoints(
    repository: RepositoryName,
    cluster: ClusterName,
    name: string,
  ): Promise<readonly (RestorePoint & { readonly timeline: TimelineId })[]> {
    return this.#ofArchive(repository, cluster, [], ({ walFiles }, archive) => walFiles.restorePoints(archive, name));
  }

  segmentsThatMayHoldXid(
    repository: RepositoryName,
    cluster: ClusterName,
    span: SegmentSpan,
    xid: number,
  ): Promise<readonly bigint[]> {
    return this.#ofArchive(repository, cluster, [], ({ blocks }, archive) => blocks.withXid(archive, span, xid));
  }

  lastArchived(repository: RepositoryName, cluster: ClusterName): Promise<WalFileRecord | undefined> {
    return this.#engine.read(({ walFiles }) => walFiles.lastArchived(repository, cluster));
  }

  recordRefusal(cluster: ClusterName, name: WalFileName, error: ErrorDocument, at: Micros): Promise<void> {
    return this.#engine.write('record a refusal', ({ refusals }) => {
      refusals.record(cluster, name, error, at);
    });
  }

  clearRefusal(cluster: ClusterName, name: WalFileName): Promise<void> {
    return this.#engine.write('clear a refusal', ({ refusals }) => {
      refusals.clear(cluster, name);
    });
  }

  refusals(cluster: ClusterName): Promise<readonly WalRefusal[]> {
    return this.#engine.read(({ refusals }) => refusals.all(cluster));
  }

  openBackup(starts: readonly BackupStart[]): Promise<void> {
    for (const { repository, cluster, id } of starts) this.#changes?.backup(repository, cluster, id);
    return this.#engine.write('open a backup', ({ backups }) => {
      backups.open(starts);
    });
  }

  completeBackup(start: BackupStart, facts: BackupFacts): Promise<void> {
    this.#changes?.backup(start.repository, start.cluster, start.id);
    return this.#engine.write(`complete backup ${start.id}`, ({ backups }) => {
      backups.complete(start, facts);
    });
  }

  failBackup(repository: RepositoryName, cluster: ClusterName, id: BackupId, error: ErrorDocument): Promise<void> {
    this.#changes?.backup(repository, cluster, id);
    return this.#engine.write(`fail backup ${id}`, ({ backups }) => {
      backups.fail(repository, cluster, id, error);
    });
  }

  markRemoving(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void> {
    this.#changes?.backup(repository, cluster, id);
    return this.#engine.write(`mark backup ${id}`, ({ backups }) => {
      backups.markRemoving(repository, cluster, id);
    });
  }

  cancelRemoval(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void> {
    this.#changes?.backup(repository, cluster, id);
    return this.#engine.write(`keep backup ${id}`, ({ backups }) => {
      backups.cancelRemoval(repository, cluster, id);
    });
  }

  forgetBackup(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void> {
    this.#changes?.backup(repository, cluster, id);
    return this.#engine.write(`forget backup ${id}`, ({ backups, verified, damaged }) => {
      backups.forget(repository, cluster, id);
      verified.forget(repository, cluster, { kind: 'backup', backup: id });
      damaged.forget(repository, cluster, { kind: 'backup', backup: id });
    });
  }

  backups(cluster: ClusterName): Promise<readonly BackupRecord[]> {
    return this.#engine.read(({ backups }) => backups.all(cluster));
  }

  recordHold(hold: HoldRecord): Promise<void> {
    this.#changes?.hold(hold.repository, hold.cluster, hold.backup);
    return this.#engine.write(`hold backup ${hold.backup}`, ({ holds }) => {
      holds.record(hold);
    });
  }

  forgetHold(repository: RepositoryName, cluster: ClusterName, backup: BackupId): Promise<void> {
    this.#changes?.hold(repository, cluster, backup);
    return this.#engine.write(`release backup ${backup}`, ({ holds }) => {
      holds.forget(repository, cluster, backup);
    });
  }

  holds(cluster: ClusterName): Promise<readonly HoldRecord[]> {
    return this.#engine.read(({ holds }) => holds.all(cluster));
  }

  recordExpired(repository: RepositoryName, cluster: ClusterName, removed: ExpiredArchive): Promise<void> {
    this.#changes?.expired(repository, cluster);
    return this.#engine.write('record what retention removes', ({ archives, expired }) => {
      expired.replace(archives.ensure(repository, cluster), removed);
    });
  }

  expired(repository: RepositoryName, cluster: ClusterName): Promise<ExpiredArchive> {
    const none = { backups: [], wal: [] };
    return this.#ofArchive(repository, cluster, none, ({ expired }, archive) => expired.of(archive));
  }

  createJob(job: NewJob): Promise<void> {
    return this.#engine.write('create a job', ({ jobs }) => {
      jobs.create(job);
    });
  }

  finishJob(job: FinishedJob): Promise<void> {
    return this.#engine.write(`finish job ${job.id}`, ({ jobs }) => {
      jobs.finish(job);
    });
  }

  job(id: string): Promise<JobRecord | undefined> {
    return this.#engine.read(({ jobs }) => jobs.find(id));
  }

  jobs(limit: number, cluster?: ClusterName): Promise<readonly JobRecord[]> {
    return this.#engine.read(({ jobs }) => jobs.newest(limit, cluster));
  }

  recordEvent(event: Omit<EventRecord, 'id'>): Promise<EventRecord> {
    return this.#engine.write(`record the event ${event.kind}`, ({ events }) => events.record(event));
  }

  events(query: EventQuery): Promise<readonly EventRecord[]> {
    return this.#engine.read(({ events }) => events.find(query));
  }

  recordSchedule(state: ScheduleState): Promise<void> {
    return this.#engine.write(`record schedule ${state.name}`, ({ schedules }) => {
      schedules.record(state);
    });
  }

  schedules(): Promise<readonly ScheduleState[]> {
    return this.#engine.read(({ schedules }) => schedules.all());
  }

  problems(): Promise<readonly string[]> {
    return this.#engine.read(({ database }) => catalogProblems(database));
  }

  /** The new catalog stands in `<path>.next`; what an earlier attempt left there is removed. */
  beginReplacement(): Promise<CatalogReplacement> {
    return this.#engine.settle('begin a new catalog', () => {
      if (this.#path === ':memory:') throw new WaldenError('INTERNAL', 'a catalog in memory cannot be replaced');
      if (this.#changes !== undefined) throw new WaldenError('LOCK_HELD', 'the catalog is being rebuilt already');
      const path = nextPath(this.#path);
      removeCatalogFiles(path);
      const catalog = SqliteCatalog.open(path, { durability: 'at-close' });
      const changes = new Changes();
      this.#changes = changes;
      return {
        catalog,
        changedMeanwhile: (repository, cluster, name) => changes.has(repository, cluster, name),
        commit: async () => {
          await catalog.close();
          await this.#replaceWith(path, changes);
        },
        discard: async () => {
          await catalog.close();
          if (this.#changes === changes) this.#changes = undefined;
          removeCatalogFiles(path);
        },
      };
    });
  }

  /** In one turn of the event loop: nobody can ask or record anything meanwhile. */
  async #replaceWith(path: string, changes: Changes): Promise<void> {
    const engine = this.#engine;
    const { log, failure } = await engine.settle('replace the catalog', () => {
      const swapped = swapFiles(engine.tables, this.#path, path, changes);
      if (swapped.failure === undefined) this.#changes = undefined;
      return { log: engine.use(swapped.tables), failure: swapped.failure };
    });
    await log?.close();
    if (failure !== undefined) throw toWaldenError(failure);
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  #ofArchive<T>(
    repository: RepositoryName,
    cluster: ClusterName,
    none: T,
    work: (tables: Tables, archive: ArchiveId) => T,
  ): Promise<T> {
    return this.#engine.read((tables) => {
      const archive = tables.archives.find(repository, cluster);
      return archive === undefined ? none : work(tables, archive);
    });
  }
}
