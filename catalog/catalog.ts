import type { ErrorDocument } from '../src/errors.ts';
import type { Lsn, SystemIdentifier, TimelineId } from '../src/postgres/lsn.ts';
import type { Micros } from '../src/postgres/timestamp.ts';
import type { SegmentBytes, WalFileKind, WalFileName } from '../src/postgres/wal-name.ts';
import type { ObjectKey, Sha256Hex } from '../storage-drivers/driver.ts';
import type { NodeCatalog } from './nodes.ts';
import type { ProofCatalog } from './proof.ts';
import type { WriterCatalog } from './writers.ts';

/**
 * The contract of the catalog: an index of what the repositories hold, which can be built anew from them, plus the jobs,
 * refusals, events, schedules and nodes of this service, which cannot and need not. Every call is one short transaction and durable when it
 * resolves. It is asynchronous because a catalog may live in another process.
 */

export type ClusterName = string & { readonly __clusterName: unique symbol };
export type RepositoryName = string & { readonly __repositoryName: unique symbol };

/** `20261122T021500F`: UTC start second and type (F full, I incremental). Sorts by time. */
export type BackupId = string & { readonly __backupId: unique symbol };

/** What must agree before a WAL file enters a cluster's archive. */
export interface ClusterIdentity {
  readonly systemIdentifier: SystemIdentifier;
  /** 13, 14, … */
  readonly majorVersion: number;
  readonly segmentBytes: SegmentBytes;
}

/** A named record written by pg_create_restore_point. */
export interface RestorePoint {
  readonly name: string;
  /** End of the record: where recovery stops. */
  readonly lsn: Lsn;
  readonly time: Micros;
}

/** What the record walk found in one segment. */
export interface WalIndex {
  readonly firstCommit: Micros | undefined;
  readonly lastCommit: Micros | undefined;
  readonly commits: number;
  /** Smallest and largest transaction that committed or aborted here (modulo 2^32, in wrap-around order). */
  readonly firstXid: number | undefined;
  readonly lastXid: number | undefined;
  readonly restorePoints: readonly RestorePoint[];
  /** Restore points that did not fit into the object's header: a search by name must walk this segment. */
  readonly restorePointsOmitted: number;
}

/** One WAL file in one repository. */
export interface WalFileRecord {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly name: WalFileName;
  readonly kind: WalFileKind;
  readonly timeline: TimelineId;
  /** Number of the segment; undefined for a history file. */
  readonly segment: bigint | undefined;
  readonly key: ObjectKey;
  readonly plainBytes: number;
  readonly storedBytes: number;
  /** Of the bytes as PostgreSQL wrote them. */
  readonly sha256: Sha256Hex;
  readonly archivedAt: Micros;
  /** For segments and partial segments. */
  readonly index: WalIndex | undefined;
  /** For history files: their text. */
  readonly history: string | undefined;
}

/** An unbroken run of segments of one timeline in one repository; both ends included. */
export interface WalRange {
  readonly timeline: TimelineId;
  readonly first: bigint;
  readonly last: bigint;
  readonly storedBytes: number;
}

/** Segments of one timeline, whether they are there or not; both ends included. */
export type SegmentRun = Pick<WalRange, 'timeline' | 'first' | 'last'>;

export interface CommitBounds {
  readonly first: Micros | undefined;
  readonly last: Micros | undefined;
}

/** Where to look for commits: segments `from` to `to`, both included, of one timeline. */
export interface SegmentSpan {
  readonly timeline: TimelineId;
  readonly from: bigint;
  readonly to: bigint;
}

export interface CorruptPages {
  /** Path in the data directory. */
  readonly path: string;
  readonly blocks: readonly number[];
}

export type BackupState = 'running' | 'complete' | 'failed' | 'removing';

export interface BackupStart {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly id: BackupId;
  readonly label: string;
  /** Moment when pg_backup_start was called, by the service's clock. */
  readonly startedAt: Micros;
}

/** What is known of a complete backup; all of it stands in `backup.json` too. */
export interface BackupFacts {
  readonly identity: ClusterIdentity;
  /** The backup that an incremental one builds on; undefined for a full one. */
  readonly parent: BackupId | undefined;
  readonly timeline: TimelineId;
  readonly startLsn: Lsn;
  readonly stopLsn: Lsn;
  /** Moment after pg_backup_stop, by PostgreSQL's clock: the earliest recovery_target_time this backup can serve. */
  readonly stoppedAt: Micros;
  readonly finishedAt: Micros;
  readonly files: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
  readonly checksumsVerified: boolean;
  readonly corruptPages: readonly CorruptPages[];
  readonly tablespaces: readonly { readonly oid: number; readonly location: string }[];
}

export interface BackupRecord extends BackupStart {
  readonly state: BackupState;
  readonly facts: BackupFacts | undefined;
  /** Why it failed. */
  readonly error: ErrorDocument | undefined;
}

/** Somebody wants one backup kept, whatever retention says. */
export interface HoldRecord {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly backup: BackupId;
  readonly since: Micros;
  /** Undefined: until it is released. */
  readonly until: Micros | undefined;
  readonly reason: string | undefined;
}

/** What retention removed from one archive, so that nobody takes it for lost or brings it back. */
export interface ExpiredArchive {
  /** Ascending; only those that other repositories might still be asked for. */
  readonly backups: readonly BackupId[];
  /** Ascending by timeline and segment. */
  readonly wal: readonly SegmentRun[];
}

export type JobKind =
  | 'backup'
  | 'restore'
  | 'clone'
  | 'expire'
  | 'verify'
  | 'drill'
  | 'catalog-rebuild'
  | 'repository-sync'
  | 'repository-repair'
  | 'wal-repair';
export type JobState = 'running' | 'done' | 'failed' | 'cancelled';

export interface JobRecord {
  readonly id: string;
  readonly kind: JobKind;
  readonly cluster: ClusterName | undefined;
  readonly state: JobState;
  readonly startedAt: Micros;
  readonly finishedAt: Micros | undefined;
  readonly error: ErrorDocument | undefined;
  /** What the job reports when it is done: a JSON object. */
  readonly result: unknown;
}

/** A WAL file that was refused and is still waiting in pg_wal. */
export interface WalRefusal {
  readonly cluster: ClusterName;
  readonly name: WalFileName;
  readonly error: ErrorDocument;
  readonly firstAt: Micros;
  readonly lastAt: Micros;
  readonly attempts: number;
}

export type EventKind =
  | 'service-started'
  | 'service-stopped'
  | 'job-done'
  | 'job-failed'
  | 'job-cancelled'
  | 'schedule-missed'
  | 'backup-became-full'
  | 'wal-refused'
  | 'second-writer'
  | 'second-writer-gone'
  | 'wal-gap'
  | 'wal-gap-closed'
  | 'receiver-down'
  | 'receiver-up'
  | 'receiver-lost-wal'
  | 'repository-away'
  | 'repository-back'
  | 'repository-behind'
  | 'repository-filled'
  | 'hook-failed';

/** `error`: somebody has to do something; `warning`: somebody should look. */
export type EventLevel = 'info' | 'warning' | 'error';

/** Something that changed the archive, or that needs eyes. */
export interface EventRecord {
  /** Ascending in the order of their recording; never used again. */
  readonly id: number;
  readonly at: Micros;
  /** Undefined: it concerns the service. */
  readonly cluster: ClusterName | undefined;
  readonly kind: EventKind;
  readonly level: EventLevel;
  /** Of what: the same for a trouble and for its end. */
  readonly subject: string | undefined;
  /** For people, without secrets. */
  readonly message: string;
  /** For programs: a JSON object. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface EventQuery {
  /** Of this cluster, and those that concern the service. */
  readonly cluster?: ClusterName | undefined;
  readonly kinds?: readonly EventKind[] | undefined;
  /** Not earlier. */
  readonly since?: Micros | undefined;
  /** The oldest behind the one of this id; without it the newest are told. */
  readonly after?: number | undefined;
  readonly limit: number;
}

/** How far a schedule has come. */
export interface ScheduleState {
  readonly name: string;
  /** What was scheduled: another definition begins anew. */
  readonly definition: string;
  /** The planned moment up to which everything is settled: begun, or left out. */
  readonly settled: Micros;
  /** What was begun for it; undefined: nothing yet. */
  readonly job: string | undefined;
  /** How often it was begun. */
  readonly attempts: number;
}

export interface Catalog {
  /** What was verified, what is bad, what drills have shown. */
  readonly proof: ProofCatalog;
  /** The nodes of the clusters. */
  readonly nodes: NodeCatalog;
  /** Which node writes which timeline. */
  readonly writers: WriterCatalog;

  /** @throws SERVER_MISMATCH when the name is known with another identity. */
  registerCluster(name: ClusterName, identity: ClusterIdentity): Promise<'registered' | 'known'>;
  clusterIdentity(name: ClusterName): Promise<ClusterIdentity | undefined>;
  clusters(): Promise<readonly ClusterName[]>;

  /** @throws ARCHIVE_DUPLICATE for the same name with another sha256 in this repository; nothing is changed then. */
  recordWalFile(file: WalFileRecord): Promise<'recorded' | 'already-recorded'>;
  walFile(repository: RepositoryName, cluster: ClusterName, name: WalFileName): Promise<WalFileRecord | undefined>;
  /** In ascending order of name. Streams: an archive may hold millions. */
  walFiles(repository: RepositoryName, cluster: ClusterName): AsyncIterable<WalFileRecord>;
  forgetWalFile(repository: RepositoryName, cluster: ClusterName, name: WalFileName): Promise<void>;
  /** In ascending order of timeline and segment. Costs what it returns, not what the archive holds. */
  walRanges(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalRange[]>;
  /** History files in ascending order of timeline. */
  timelineHistories(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalFileRecord[]>;
  /** All that are no whole segments: history, backup history and partial files. In ascending order of name. */
  otherWalFiles(repository: RepositoryName, cluster: ClusterName): Promise<readonly WalFileRecord[]>;
  commitBounds(repository: RepositoryName, cluster: ClusterName, span: SegmentSpan): Promise<CommitBounds>;
  /** The first segment of the span with a commit later than `time` (`orEqual`: not earlier), or undefined. */
  firstSegmentWithCommitAfter(
    repository: RepositoryName,
    cluster: ClusterName,
    span: SegmentSpan,
    time: Micros,
    orEqual: boolean,
  ): Promise<bigint | undefined>;
  /** All of this name; `timeline` is that of the segment it was found in. Ascending by position. */
  restorePoints(
    repository: RepositoryName,
    cluster: ClusterName,
    name: string,
  ): Promise<readonly (RestorePoint & { readonly timeline: TimelineId })[]>;
  /** Segments of the span whose transactions may include this one; ascending. */
  segmentsThatMayHoldXid(
    repository: RepositoryName,
    cluster: ClusterName,
    span: SegmentSpan,
    xid: number,
  ): Promise<readonly bigint[]>;
  /** Newest by archivedAt over all kinds, or undefined. */
  lastArchived(repository: RepositoryName, cluster: ClusterName): Promise<WalFileRecord | undefined>;

  recordRefusal(cluster: ClusterName, name: WalFileName, error: ErrorDocument, at: Micros): Promise<void>;
  clearRefusal(cluster: ClusterName, name: WalFileName): Promise<void>;
  refusals(cluster: ClusterName): Promise<readonly WalRefusal[]>;

  /**
   * Opens one backup in several repositories at once; this is the lock, one per cluster.
   * @throws LOCK_HELD (naming the backup and since when) while another backup of the cluster runs.
   */
  openBackup(starts: readonly BackupStart[]): Promise<void>;
  /** Also records a complete backup that was not known before (rebuild). Only after backup.json is durable. */
  completeBackup(start: BackupStart, facts: BackupFacts): Promise<void>;
  failBackup(repository: RepositoryName, cluster: ClusterName, id: BackupId, error: ErrorDocument): Promise<void>;
  /** Before the first object is removed. @throws INTERNAL while a complete backup of the same repository builds on it. */
  markRemoving(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void>;
  /** The store refuses to remove the first object: it is complete again. @throws INTERNAL unless it was being removed */
  cancelRemoval(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void>;
  /** After the last object is removed. */
  forgetBackup(repository: RepositoryName, cluster: ClusterName, id: BackupId): Promise<void>;
  /** Ascending by id, then repository. */
  backups(cluster: ClusterName): Promise<readonly BackupRecord[]>;

  /** Takes the place of an earlier hold of the same backup in the same repository. */
  recordHold(hold: HoldRecord): Promise<void>;
  forgetHold(repository: RepositoryName, cluster: ClusterName, backup: BackupId): Promise<void>;
  /** Also those that are over. Ascending by backup, then repository. */
  holds(cluster: ClusterName): Promise<readonly HoldRecord[]>;
  /** Takes the place of what was recorded before. */
  recordExpired(repository: RepositoryName, cluster: ClusterName, expired: ExpiredArchive): Promise<void>;
  expired(repository: RepositoryName, cluster: ClusterName): Promise<ExpiredArchive>;

  /** Old ones that are over are forgotten: after 400 days, or when a hundred thousand newer ones are there. */
  createJob(job: Pick<JobRecord, 'id' | 'kind' | 'cluster' | 'startedAt'>): Promise<void>;
  finishJob(job: Pick<JobRecord, 'id' | 'state' | 'finishedAt' | 'error' | 'result'>): Promise<void>;
  job(id: string): Promise<JobRecord | undefined>;
  /** Newest first; of one cluster, or all. */
  jobs(limit: number, cluster?: ClusterName): Promise<readonly JobRecord[]>;

  /** Old ones are forgotten: after 400 days, or when a hundred thousand newer ones are there. */
  recordEvent(event: Omit<EventRecord, 'id'>): Promise<EventRecord>;
  /** In ascending order of id. */
  events(query: EventQuery): Promise<readonly EventRecord[]>;

  /** Overwrites what was known of the schedule. */
  recordSchedule(state: ScheduleState): Promise<void>;
  schedules(): Promise<readonly ScheduleState[]>;

  /** Breaches of its own rules and of the engine's integrity, in words; none means sound. */
  problems(): Promise<readonly string[]>;
  close(): Promise<void>;
}
