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
  };
  readonly repositories: ReadonlyMap<RepositoryName, RepositoryConfig>;
  readonly clusters: ReadonlyMap<ClusterName, ClusterConfig>;
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
  readonly walPushTimeoutSeconds: number;
  readonly walFetchTimeoutSeconds: number;
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
