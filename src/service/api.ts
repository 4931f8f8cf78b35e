import { type Static, Type } from '../typebox.ts';
import { ErrorBody, LsnText, Moment, Nullable } from './api-parts.ts';
import { DamagedDocument, VerificationSummary } from './api-proof.ts';
import { SecondWriterDocument, TimelineWriterDocument } from './api-writers.ts';

/**
 * The documents of the HTTP API, version 1: what requests are checked against, what OpenAPI is made of, and what
 * `--json` prints (with `format: 1`). Moments are text in UTC with six digits of a second, LSNs PostgreSQL's text,
 * sizes bytes, durations seconds.
 */

export { ErrorBody };

export const Ping = Type.Object({
  version: Type.String(),
  pid: Type.Integer(),
  startedAt: Moment,
  clusters: Type.Array(Type.String()),
});

/** An unbroken run of segments. */
export const WalRangeDocument = Type.Object({
  repository: Type.String(),
  timeline: Type.Integer(),
  first: Type.String({ description: 'name of the first segment' }),
  last: Type.String({ description: 'name of the last segment' }),
  segments: Type.Integer(),
  storedBytes: Type.Integer(),
  firstCommit: Nullable(Moment),
  lastCommit: Nullable(Moment),
});
export const WalList = Type.Object({ cluster: Type.String(), ranges: Type.Array(WalRangeDocument) });

/** Segments that are missing between others of the same history. */
export const WalGapDocument = Type.Object({
  repository: Type.String(),
  timeline: Type.Integer(),
  first: Type.String(),
  last: Type.String(),
  segments: Type.Integer(),
});
export const WalGaps = Type.Object({ cluster: Type.String(), gaps: Type.Array(WalGapDocument) });

export const BackupDocument = Type.Object({
  repository: Type.String(),
  cluster: Type.String(),
  id: Type.String(),
  label: Type.String(),
  state: Type.Union([
    Type.Literal('running'),
    Type.Literal('complete'),
    Type.Literal('failed'),
    Type.Literal('removing'),
  ]),
  startedAt: Moment,
  error: Nullable(ErrorBody),
  facts: Nullable(
    Type.Object({
      systemIdentifier: Type.String(),
      majorVersion: Type.Integer(),
      segmentBytes: Type.Integer(),
      /** The backup that an incremental one builds on; null for a full one. */
      parent: Nullable(Type.String()),
      timeline: Type.Integer(),
      startLsn: LsnText,
      stopLsn: LsnText,
      stoppedAt: Moment,
      finishedAt: Moment,
      files: Type.Integer(),
      plainBytes: Type.Integer(),
      storedBytes: Type.Integer(),
      checksumsVerified: Type.Boolean(),
      corruptPages: Type.Array(Type.Object({ path: Type.String(), blocks: Type.Array(Type.Integer()) })),
      tablespaces: Type.Array(Type.Object({ oid: Type.Integer(), location: Type.String() })),
    }),
  ),
  /** What a verification found to be bad of it; absent: nothing, or nobody has looked. */
  damaged: Type.Optional(Type.Array(DamagedDocument)),
  /** In a list, and where one is shown: until when `walden keep` keeps it (null: until it is released); absent: it does not. */
  kept: Type.Optional(Type.Object({ until: Nullable(Moment), reason: Nullable(Type.String()) })),
});
export const BackupList = Type.Object({ cluster: Type.String(), backups: Type.Array(BackupDocument) });

/** One line of the answer to `show --files` (NDJSON). */
export const BackupFileDocument = Type.Object({
  path: Type.String(),
  type: Type.String(),
  bytes: Type.Integer(),
  mode: Nullable(Type.Integer()),
  modifiedAt: Nullable(Moment),
  sha256: Nullable(Type.String()),
});

export const RecoverableWindow = Type.Object({
  repository: Type.String(),
  timeline: Type.Integer(),
  backup: Type.String({ description: 'oldest backup that begins this window' }),
  earliest: Moment,
  latest: Nullable(Moment),
  earliestLsn: LsnText,
  latestLsn: LsnText,
  holes: Type.Array(WalGapDocument),
  /** Older backups that lead to their own ends only: retention has removed the WAL behind them. */
  points: Type.Array(Type.Object({ backup: Type.String(), at: Moment })),
});

export const JobDocument = Type.Object({
  id: Type.String(),
  kind: Type.Union([
    Type.Literal('backup'),
    Type.Literal('restore'),
    Type.Literal('clone'),
    Type.Literal('verify'),
    Type.Literal('drill'),
    Type.Literal('catalog-rebuild'),
    Type.Literal('repository-sync'),
    Type.Literal('repository-repair'),
    Type.Literal('wal-repair'),
    Type.Literal('expire'),
  ]),
  cluster: Nullable(Type.String()),
  state: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed'), Type.Literal('cancelled')]),
  startedAt: Moment,
  finishedAt: Nullable(Moment),
  /** Only while it runs. */
  progress: Nullable(
    Type.Object({
      phase: Type.String(),
      doneBytes: Type.Integer(),
      totalBytes: Type.Integer(),
      files: Type.Integer(),
      bytesPerSecond: Type.Number(),
    }),
  ),
  error: Nullable(ErrorBody),
  result: Type.Unknown(),
});

/** How WAL comes in over the replication protocol. */
export const ReceiverDocument = Type.Object({
  state: Type.Union([
    Type.Literal('stopped'),
    Type.Literal('connecting'),
    Type.Literal('streaming'),
    Type.Literal('waiting'),
  ]),
  host: Nullable(Type.String()),
  slot: Type.String(),
  acknowledge: Type.Union([Type.Literal('repository'), Type.Literal('spool')]),
  timeline: Nullable(Type.Integer()),
  receivedLsn: Nullable(LsnText),
  /** Up to where it is fsynced in the spool. */
  flushedLsn: Nullable(LsnText),
  /** What the server was told; its slot keeps what is behind. */
  acknowledgedLsn: Nullable(LsnText),
  serverLsn: Nullable(LsnText),
  /** What the server has and the spool has not. */
  lagBytes: Nullable(Type.Integer()),
  /** Since when that is so; 0 where nothing is missing. */
  lagSeconds: Nullable(Type.Number()),
  /** WAL that the slot keeps on the server. */
  retainedBytes: Nullable(Type.Integer()),
  /** Received, and not in every required repository yet. */
  waitingFiles: Type.Integer(),
  failure: Nullable(Type.Object({ error: ErrorBody, since: Moment })),
  /** The last WAL that the server no longer had. */
  gap: Nullable(Type.Object({ first: Type.String(), last: Type.String(), noticedAt: Moment })),
  /** Since when an operator has it stopped: it starts with no service until it is started again. */
  stoppedAt: Nullable(Moment),
  /** Where it receives from instead of from what the configuration names, since an operator said so. */
  follows: Nullable(Type.Object({ conninfo: Type.String(), since: Moment })),
});

export const ReceiverAnswer = Type.Object({
  cluster: Type.String(),
  receiver: ReceiverDocument,
  /** Files of the spool that were put aside. */
  kept: Type.Array(Type.String()),
});

export const ClusterStatus = Type.Object({
  name: Type.String(),
  systemIdentifier: Nullable(Type.String()),
  majorVersion: Nullable(Type.Integer()),
  repositories: Type.Array(
    Type.Object({
      name: Type.String(),
      /** Whether a WAL file is acknowledged only when it is here. */
      required: Type.Boolean(),
      /** Why it cannot be used now, or is not filled, and since when; null: as far as is known, nothing is wrong. */
      failure: Nullable(Type.Object({ error: ErrorBody, since: Moment })),
      /** What it lacks of what the others hold, where it is filled in the background. */
      lag: Nullable(
        Type.Object({
          walFiles: Type.Integer(),
          /** When the oldest of them was archived elsewhere. */
          oldestAt: Nullable(Moment),
          backups: Type.Integer(),
        }),
      ),
      lastArchived: Nullable(Type.Object({ name: Type.String(), at: Moment })),
      windows: Type.Array(RecoverableWindow),
      /** What keeps the newest timeline from being recovered beyond its newest backup; only where it is required. */
      missing: Type.Optional(Type.Array(WalGapDocument)),
      lastBackup: Nullable(BackupDocument),
      verification: VerificationSummary,
    }),
  ),
  wal: Type.Object({
    /** Files in pg_wal/archive_status that wait; null when the directory cannot be read. */
    ready: Nullable(Type.Integer()),
    oldestReadyAt: Nullable(Moment),
    refusals: Type.Array(
      Type.Object({ name: Type.String(), error: ErrorBody, firstAt: Moment, lastAt: Moment, attempts: Type.Integer() }),
    ),
    /** Of the newest timeline of which it is known. */
    writer: Nullable(TimelineWriterDocument),
    secondWriters: Type.Array(SecondWriterDocument),
  }),
  /** Null where the configuration has none. */
  receiver: Nullable(ReceiverDocument),
  jobs: Type.Array(JobDocument),
});
export const Status = Type.Object({
  version: Type.String(),
  /** The job that rebuilds a catalog which was lost, or failed to: until one is done, what is told is not all that there is. */
  catalogRebuild: Nullable(Type.String()),
  clusters: Type.Array(ClusterStatus),
});

export const BackupRequest = Type.Object(
  {
    workers: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    compressionLevel: Type.Optional(Type.Integer({ minimum: 1, maximum: 19 })),
    label: Type.Optional(Type.String({ maxLength: 200 })),
    incremental: Type.Optional(Type.Boolean({ description: 'only what changed since another backup' })),
    parent: Type.Optional(
      Type.String({ maxLength: 100, description: 'id of the backup to build on; by default the newest that will do' }),
    ),
  },
  { additionalProperties: false },
);

export const TargetRequest = Type.Object(
  {
    kind: Type.Union([
      Type.Literal('latest'),
      Type.Literal('immediate'),
      Type.Literal('time'),
      Type.Literal('lsn'),
      Type.Literal('xid'),
      Type.Literal('name'),
    ]),
    /** The moment, LSN, transaction or restore point, as the operator wrote it. */
    value: Type.Optional(Type.String({ maxLength: 200 })),
    exclusive: Type.Optional(Type.Boolean()),
    timeline: Type.Optional(Type.Integer({ minimum: 1 })),
    backup: Type.Optional(Type.String({ description: 'a backup id' })),
  },
  { additionalProperties: false },
);

export const RestoreRequest = Type.Object(
  {
    target: TargetRequest,
    to: Type.String({ description: 'absolute path of the new data directory' }),
    tablespaceMap: Type.Optional(Type.Record(Type.String(), Type.String())),
    action: Type.Optional(Type.Union([Type.Literal('pause'), Type.Literal('promote'), Type.Literal('shutdown')])),
    standby: Type.Optional(Type.Boolean()),
    takeOver: Type.Optional(Type.Boolean()),
    delta: Type.Optional(Type.Boolean({ description: 'keep what an old data directory has right' })),
    discardWal: Type.Optional(Type.Boolean({ description: 'with delta: give up WAL that no repository has' })),
    workers: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
  },
  { additionalProperties: false },
);

/** A standby that follows the archive, and then streams. */
export const CloneRequest = Type.Object(
  {
    to: Type.String({ description: 'absolute path of the new data directory' }),
    primary: Type.Optional(
      Type.String({
        maxLength: 2000,
        description: 'conninfo without a password; by default that of the configuration',
      }),
    ),
    slot: Type.Optional(Nullable(Type.String({ maxLength: 63, description: 'null: none; by default a name is made' }))),
    delaySeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483 })),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
    willStart: Type.Optional(Type.Boolean({ description: 'refuse a port that something listens on' })),
    backup: Type.Optional(Type.String({ description: 'a backup id' })),
    tablespaceMap: Type.Optional(Type.Record(Type.String(), Type.String())),
    takeOver: Type.Optional(Type.Boolean()),
    delta: Type.Optional(Type.Boolean({ description: 'keep what an old data directory has right' })),
    discardWal: Type.Optional(Type.Boolean({ description: 'with delta: give up WAL that no repository has' })),
    workers: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
  },
  { additionalProperties: false },
);

/** A restore that is done for proof: started, recovered, checked, measured and thrown away. */
export const DrillRequest = Type.Object(
  {
    target: Type.Optional(TargetRequest),
    scratch: Type.Optional(Type.String({ description: 'absolute path of a directory for everything that it makes' })),
    pgBin: Type.Optional(Type.String({ description: "absolute path of the directory with PostgreSQL's programs" })),
    checks: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ maxLength: 500 }),
            database: Type.Optional(Type.String({ maxLength: 63 })),
            sql: Type.String({ maxLength: 1_000_000 }),
          },
          { additionalProperties: false },
        ),
        { maxItems: 100, description: 'by default those that the configuration names' },
      ),
    ),
    workers: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
  },
  { additionalProperties: false },
);

export const FollowRequest = Type.Object(
  { conninfo: Nullable(Type.String({ maxLength: 2000, description: 'without a password; null: as configured' })) },
  { additionalProperties: false },
);

export const SyncRequest = Type.Object(
  {
    from: Type.String({ maxLength: 100 }),
    to: Type.String({ maxLength: 100 }),
    cluster: Type.Optional(Type.String({ maxLength: 100, description: 'by default all' })),
    since: Type.Optional(Type.String({ maxLength: 200, description: 'only backups that began then or later' })),
  },
  { additionalProperties: false },
);

export const RepairRequest = Type.Object(
  { cluster: Type.Optional(Type.String({ maxLength: 100, description: 'by default all' })) },
  { additionalProperties: false },
);

/** What a restore would do. A plan that cannot work is an error (TARGET_UNREACHABLE, ARCHIVE_GAP, …), not a plan. */
export const PlanDocument = Type.Object({
  cluster: Type.String(),
  repository: Type.String(),
  backup: BackupDocument,
  /** What an incremental backup builds on, its parent first, down to the full one; empty for a full one. */
  chain: Type.Array(Type.String()),
  /** What was understood of the target: in words, with the zone. */
  target: Type.String(),
  timeline: Type.Integer(),
  /** Timelines that will be replayed, oldest first, with the LSN where each is left (null: the last). */
  path: Type.Array(Type.Object({ timeline: Type.Integer(), end: Nullable(LsnText) })),
  wal: Type.Object({ first: Type.String(), last: Type.String(), segments: Type.Integer() }),
  /** The last of these segments, when it was still being received: up to where it is known. */
  unfinished: Nullable(Type.Object({ segment: Type.String(), end: LsnText })),
  /** How many of these segments are not in the repository, but in the receiver's spool. */
  unstoredSegments: Type.Integer(),
  restoreBytes: Type.Integer(),
  storedBytes: Type.Integer(),
  /** By what the last drill or restore has measured; null when there was none. */
  estimatedSeconds: Nullable(Type.Number()),
  /** What the estimate is made of: the files, the WAL (null: never measured), and by what. */
  estimate: Nullable(
    Type.Object({ restoreSeconds: Type.Number(), recoverySeconds: Nullable(Type.Number()), by: Type.String() }),
  ),
  latest: Nullable(Moment),
  notes: Type.Array(Type.String()),
});

export type ErrorBodyDocument = Static<typeof ErrorBody>;
export type PingDocument = Static<typeof Ping>;
export type StatusDocument = Static<typeof Status>;
export type ClusterStatusDocument = Static<typeof ClusterStatus>;
export type ReceiverDocument = Static<typeof ReceiverDocument>;
export type ReceiverAnswerDocument = Static<typeof ReceiverAnswer>;
export type RecoverableWindowDocument = Static<typeof RecoverableWindow>;
export type WalListDocument = Static<typeof WalList>;
export type WalGapsDocument = Static<typeof WalGaps>;
export type BackupDocument = Static<typeof BackupDocument>;
export type BackupListDocument = Static<typeof BackupList>;
export type BackupFileDocument = Static<typeof BackupFileDocument>;
export type BackupRequest = Static<typeof BackupRequest>;
export type TargetRequest = Static<typeof TargetRequest>;
export type RestoreRequest = Static<typeof RestoreRequest>;
export type CloneRequest = Static<typeof CloneRequest>;
export type DrillRequest = Static<typeof DrillRequest>;
export type FollowRequest = Static<typeof FollowRequest>;
export type SyncRequest = Static<typeof SyncRequest>;
export type RepairRequest = Static<typeof RepairRequest>;
export type PlanDocument = Static<typeof PlanDocument>;
export type JobDocument = Static<typeof JobDocument>;
