import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { CamelCased } from './camel-case.ts';
import type { SectionValues } from './option-table.ts';

/** The configuration after reading and checking: every default filled in, every path absolute. */
export interface Config {
  /** The file it came from. */
  readonly source: string;
  readonly service: {
    readonly stateDirectory: string;
    readonly socket: string;
    /** Worker threads for hashing and compression. */
    readonly workers: number;
    /** Undefined: metrics are told on the socket only. */
    readonly metrics: MetricsListenConfig | undefined;
  };
  readonly repositories: ReadonlyMap<RepositoryName, RepositoryConfig>;
  readonly clusters: ReadonlyMap<ClusterName, ClusterConfig>;
  /** No two of them hold for the same cluster and repository. */
  readonly retention: readonly RetentionConfig[];
  readonly schedules: readonly ScheduleConfig[];
  readonly hooks: readonly HookConfig[];
}

/** Where Prometheus may ask over TCP. */
export interface MetricsListenConfig {
  readonly host: string;
  readonly port: number;
  /** Undefined on loopback addresses only. */
  readonly tokenFile: string | undefined;
}

export interface ScheduleConfig {
  readonly name: string;
  readonly cluster: ClusterName;
  readonly job: SectionValues<'schedule'>['job'];
  readonly cron: string;
  readonly timeZone: string;
  /** The most that it begins later than planned. */
  readonly jitterSeconds: number;
  /** How late it may still begin. */
  readonly windowSeconds: number;
  /** How much a verification reads; undefined: everything. */
  readonly budgetBytes: number | undefined;
}

export type HookTopic = SectionValues<'hook'>['on'][number];

export interface HookConfig {
  readonly name: string;
  readonly on: readonly HookTopic[];
  readonly target: CommandTarget | WebhookTarget;
  /** Of one attempt. */
  readonly timeoutSeconds: number;
}

export interface CommandTarget {
  readonly kind: 'command';
  readonly program: string;
  readonly words: readonly string[];
}

export interface WebhookTarget {
  readonly kind: 'webhook';
  /** May hold a secret. */
  readonly url: string;
  readonly secretFile: string | undefined;
}

/** What the options of its `driver` say, under the names that code uses: `path_style` is `pathStyle`. */
export type RepositoryConfig = { readonly name: RepositoryName } & CamelCased<SectionValues<'repository'>>;

/** How the primary is reached for replication. May hold a password. */
export function primaryConninfo({ receive, backup }: ClusterConfig): string {
  return receive?.conninfo ?? backup.conninfo;
}

/** The same with another primary, wherever it is reached for replication. */
export function withPrimary(config: ClusterConfig, conninfo: string): ClusterConfig {
  const { receive, backup } = config;
  return {
    ...config,
    receive: receive && { ...receive, conninfo },
    backup: backup.source === 'stream' ? { ...backup, conninfo } : backup,
  };
}

export interface ClusterConfig {
  readonly name: ClusterName;
  /** Of the node on this host; undefined where there is none. */
  readonly dataDirectory: string | undefined;
  /** How its node is asked by SQL; may hold a password. Undefined where it is reached for replication only. */
  readonly conninfo: string | undefined;
  readonly backup: BackupSourceConfig;
  readonly repositories: readonly RepositoryName[];
  /** Those of `repositories` that a WAL file must be in before it is acknowledged; at least one. */
  readonly required: readonly RepositoryName[];
  /** This cluster's own directory: the configured spool_directory with the cluster's name appended. */
  readonly spoolDirectory: string;
  readonly walCompressionLevel: number;
  readonly backupCompressionLevel: number;
  /** Undefined where WAL comes by archive_command only. */
  readonly receive: ReceiveConfig | undefined;
  readonly drill: DrillConfig;
  readonly walPushTimeoutSeconds: number;
  readonly walFetchTimeoutSeconds: number;
}

export interface DrillConfig {
  /** Where PostgreSQL's programs are; undefined: in the usual places. */
  readonly pgBin: string | undefined;
  /** Where scratch directories are made; undefined: in the state directory. */
  readonly directory: string | undefined;
  /** Each as `FILE` or `DATABASE=FILE`: see `parseDrillCheck`. */
  readonly checks: readonly string[];
}

/** Where the bytes of base backups come from. */
export type BackupSourceConfig = LocalBackupSource | StreamBackupSource;

/** The files of the node on this host. */
export interface LocalBackupSource {
  readonly source: 'files';
  readonly dataDirectory: string;
  /** May hold a password. */
  readonly conninfo: string;
}

/** BASE_BACKUP over the replication protocol. */
export interface StreamBackupSource {
  readonly source: 'stream';
  /** May hold a password, and may name several hosts. */
  readonly conninfo: string;
  /** Whether the server compresses what it sends. */
  readonly compression: 'auto' | 'off' | 'zstd';
  /** Bytes per second at most; undefined: as fast as it goes. */
  readonly maxRateBytes: number | undefined;
}

/** How WAL is received over the replication protocol. */
export interface ReceiveConfig {
  /** May hold a password. */
  readonly conninfo: string;
  readonly slot: string;
  /** Over that of the conninfo. */
  readonly applicationName: string | undefined;
  readonly acknowledge: 'repository' | 'spool';
  readonly spoolLimitBytes: number;
  /** How often the segment that is being received is stored as far as it has come; undefined: never. */
  readonly partialIntervalSeconds: number | undefined;
}

/** What an operator promises himself; each rule that is set keeps something, and nothing else is kept. Seconds. */
export interface RetentionPolicy {
  /** Every moment that can be reached and is not longer ago stays so. */
  readonly recoveryWindowSeconds: number | undefined;
  /** So many full backups. */
  readonly minimumBackups: number | undefined;
  /** Of each of so many days, weeks, months and years the newest backup. */
  readonly keepDaily: number | undefined;
  readonly keepWeekly: number | undefined;
  readonly keepMonthly: number | undefined;
  readonly keepYearly: number | undefined;
  /** Older backups are kept just consistent: not a moment later than their ends. Undefined: all that is kept counts. */
  readonly walWindowSeconds: number | undefined;
}

export interface RetentionConfig {
  readonly name: string;
  readonly cluster: ClusterName;
  readonly repositories: readonly RepositoryName[];
  readonly policy: RetentionPolicy;
}

/** Undefined: nothing of this cluster ever goes from there. */
export function retentionOf(
  { retention }: Config,
  cluster: ClusterName,
  repository: RepositoryName,
): RetentionConfig | undefined {
  return retention.find((one) => one.cluster === cluster && one.repositories.includes(repository));
}
