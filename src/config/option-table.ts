import type { ChoiceOption, ChoicesOption, ObjectLock, Option, Section } from './option.ts';
import { STORE_KINDS, type StoreKind, STORES } from './store-options.ts';

/**
 * The one table of options: the loader checks files against it and docs/options.md is rendered from it.
 *
 * `[service]` stands once, the sections with a name as often as needed.
 */

/** `sun_path` of a unix socket has room for 104 bytes (BSD, macOS) or 108 (Linux), one of them for the end. */
const MAX_SOCKET_BYTES = 103;
const COMPRESSION = { type: 'integer', required: false, minimum: 1, maximum: 19 } as const;
const LIMIT = { type: 'integer', required: false, minimum: 1, maximum: 1_000_000, unit: 'MB per second' } as const;
/** A hundred years. */
const MAX_WINDOW_SECONDS = 36_500 * 86_400;
const WINDOW = { type: 'duration', required: false, minimumSeconds: 3600, maximumSeconds: MAX_WINDOW_SECONDS } as const;
const KEPT = { type: 'integer', required: false, minimum: 1, maximum: 100_000 } as const;
const TIMEOUT = { type: 'integer', required: false, minimum: 1, maximum: 3600, unit: 'seconds', default: 60 } as const;

export const SECTIONS = {
  service: {
    named: false,
    doc: 'The process that `walden service` runs.',
    options: {
      state_directory: {
        type: 'path',
        required: true,
        doc: 'Directory for the catalog, staged files and, unless said otherwise, the spools. One service uses it at a time.',
      },
      socket: {
        type: 'path',
        required: true,
        maxBytes: MAX_SOCKET_BYTES,
        doc: 'Unix socket on which the service answers (mode 0660). Its directory must exist.',
      },
      workers: {
        type: 'integer',
        required: false,
        minimum: 1,
        maximum: 256,
        default: { words: 'the number of cores' },
        doc: 'Threads that hash, check and compress.',
      },
      metrics_listen: {
        type: 'text',
        required: false,
        default: { words: 'none: only on the socket' },
        doc: 'Address and port for Prometheus, like `"127.0.0.1:9187"`, which answers `GET /metrics` and nothing else. An address that is not this host\'s loopback needs `metrics_token_file`. See [metrics.md](metrics.md).',
      },
      metrics_token_file: {
        type: 'path',
        required: false,
        default: { words: 'none: whoever reaches the loopback address may read' },
        doc: 'File with the token that a scrape has to show as `Authorization: Bearer …`. Only the user of the service may read or write it.',
      },
    },
  },
  repository: {
    named: true,
    doc: 'A place that holds WAL files and backups. There may be several.',
    options: {
      driver: { type: 'choice', required: true, choices: STORE_KINDS, doc: 'The kind of store.' },
      access: {
        type: 'choice',
        required: false,
        choices: ['read-write', 'append-only', 'read-only'],
        default: { words: '`"read-write"`' },
        doc: 'What this service does to it: everything, only store and read (nothing is replaced or removed), or only read.',
      },
      upload_limit: { ...LIMIT, doc: 'The most that is sent to it, all uploads together.' },
      download_limit: { ...LIMIT, doc: 'The most that is read from it, all downloads together.' },
      key_directory: {
        type: 'path',
        required: false,
        default: { words: 'none: objects are not encrypted' },
        doc: 'Directory of the keys that this repository is encrypted with, which `walden key new` makes. See [encryption.md](encryption.md). It must not lie inside a data directory or a repository.',
      },
      recipients: {
        type: 'names',
        required: false,
        doc: 'Who else can open what is stored from now on, each as `"age1…"`: recovery keys, of which only this public half is here.',
      },
    },
    variants: { by: 'driver', of: STORES },
  },
  cluster: {
    named: true,
    doc: 'A PostgreSQL cluster: a primary and its standbys under one name.',
    options: {
      data_directory: {
        type: 'path',
        required: false,
        default: { words: 'none, which only `backup_source = "stream"` with `receive = true` can do without' },
        doc: 'The data directory of the node on this host.',
      },
      conninfo: {
        type: 'text',
        required: false,
        secret: true,
        default: { words: 'none, which only `backup_source = "stream"` with `replication_conninfo` can do without' },
        doc: 'How to connect to it, as libpq writes it. A password in it is never logged; a password file is better.',
      },
      backup_source: {
        type: 'choice',
        required: false,
        choices: ['files', 'stream'],
        default: { words: '`"files"`' },
        doc: 'Where base backups come from: the files in `data_directory`, read in parallel, or the replication protocol, from any host. See [stream-backups.md](stream-backups.md).',
      },
      stream_compression: {
        type: 'choice',
        required: false,
        choices: ['auto', 'off', 'zstd'],
        default: { words: '`"auto"`: once it shows that the network is what a backup waits for' },
        doc: 'Whether the server compresses base backups for the way to Walden. Only with `backup_source = "stream"`, from PostgreSQL 15 on.',
      },
      stream_max_rate: {
        ...{ type: 'integer', required: false, minimum: 1, maximum: 1000, unit: 'MB per second' },
        default: { words: 'as fast as it goes' },
        doc: 'The most that the server sends of a base backup. Only with `backup_source = "stream"`.',
      },
      repositories: {
        type: 'names',
        required: true,
        doc: 'Names of its repositories. What is read is read from the first that is healthy and near.',
      },
      required: {
        type: 'names',
        required: false,
        default: { words: 'all of `repositories` that are not read-only' },
        doc: 'Those of its repositories that must hold a WAL file before it is acknowledged, and a backup before it is one. The others are filled in the background.',
      },
      spool_directory: {
        type: 'path',
        required: false,
        default: { words: '`<state_directory>/spool`' },
        doc: "Where acknowledgements and prefetched segments wait, on the database host. The cluster's name is always appended.",
      },
      receive: {
        type: 'switch',
        required: false,
        default: { words: '`false`' },
        doc: 'Whether WAL is received over the replication protocol, besides or instead of `archive_command`. See [receiver.md](receiver.md).',
      },
      replication_conninfo: {
        type: 'text',
        required: false,
        secret: true,
        default: { words: '`conninfo`' },
        doc: 'Whom to receive WAL from, and base backups with `backup_source = "stream"`. The role needs REPLICATION and a line for `replication` in pg_hba.conf. Several hosts as in `host=db1,db2 target_session_attrs=read-write`.',
      },
      slot: {
        type: 'text',
        required: false,
        default: { words: "`walden_` and the cluster's name, with `_` for `-`" },
        doc: 'The physical replication slot that keeps WAL on the server until it is acknowledged. Walden makes it.',
      },
      application_name: {
        type: 'text',
        required: false,
        default: { words: 'what `replication_conninfo` says, else `walden`' },
        doc: 'What the receiver is called in pg_stat_replication and synchronous_standby_names.',
      },
      acknowledge: {
        type: 'choice',
        required: false,
        choices: ['repository', 'spool'],
        default: { words: '`"repository"`' },
        doc: 'When the server is told that received WAL is safe: once it is in every required repository, segment by segment, or as soon as it is fsynced in the spool, which a synchronous standby needs.',
      },
      receive_spool_limit: {
        type: 'integer',
        required: false,
        minimum: 1,
        maximum: 1_000_000_000,
        unit: 'MB',
        default: 4096,
        doc: 'How much received WAL may wait in the spool for the repositories. Nothing more is received then, and the slot keeps it on the server.',
      },
      partial_interval: {
        type: 'duration',
        required: false,
        minimumSeconds: 1,
        maximumSeconds: 3600,
        default: { words: 'none: only whole segments are stored' },
        doc: 'How often the segment that is being received is stored in the required repositories as far as it has come, for the case that the host of Walden and its spool are lost too. Only with `receive = true`. See [receiver.md](receiver.md).',
      },
      pg_bin: {
        type: 'path',
        required: false,
        default: { words: 'found by PATH, pg_config and the usual places' },
        doc: "Directory with the programs of PostgreSQL of the cluster's version, with which drills start what they restore. See [verify.md](verify.md).",
      },
      drill_directory: {
        type: 'path',
        required: false,
        default: { words: '`<state_directory>/drills`' },
        doc: 'Where drills restore to: with room for the whole cluster. Each makes a directory of its own in it, and removes it.',
      },
      drill_checks: {
        type: 'names',
        required: false,
        doc: 'Files of SQL, each as `"FILE"` or `"DATABASE=FILE"`, that must hold in what a drill has restored: every row that they return begins with true.',
      },
      wal_compression_level: { ...COMPRESSION, default: 1, doc: 'zstd level for WAL files.' },
      backup_compression_level: { ...COMPRESSION, default: 3, doc: 'zstd level for base backups.' },
      wal_push_timeout: {
        ...TIMEOUT,
        doc: 'How long archive_command waits for one file before it lets PostgreSQL ask again.',
      },
      wal_fetch_timeout: {
        ...TIMEOUT,
        doc: 'How long restore_command tries to get an answer for one file before it gives up and recovery stops.',
      },
    },
  },
  retention: {
    named: true,
    doc: 'What is kept of a cluster, and removed otherwise, by `walden expire`. Without such a section nothing ever is. At least one of the keys from `recovery_window` to `keep_yearly` must be given; what any of them asks for stays. See [retention.md](retention.md).',
    options: {
      cluster: { type: 'text', required: true, doc: 'Name of the cluster.' },
      repositories: {
        type: 'names',
        required: false,
        default: { words: 'all of the cluster that no other section of it names' },
        doc: 'The repositories that it holds for.',
      },
      recovery_window: {
        ...WINDOW,
        default: { words: 'none' },
        doc: 'Every moment that can be reached and is not longer ago than this stays so.',
      },
      minimum_backups: {
        ...KEPT,
        default: { words: 'none; the last usable backup stays in any case' },
        doc: 'So many of the newest usable full backups stay, with all that builds on them.',
      },
      keep_daily: { ...KEPT, doc: 'The newest backup of each of so many days (UTC) that have one.' },
      keep_weekly: { ...KEPT, doc: 'The same of weeks, which begin on Monday.' },
      keep_monthly: { ...KEPT, doc: 'The same of months.' },
      keep_yearly: { ...KEPT, doc: 'The same of years.' },
      wal_window: {
        ...WINDOW,
        default: { words: 'all moments since the oldest backup that one of the keys above keeps' },
        doc: 'Only so far back any moment can be reached; older backups are kept just consistent. Not shorter than `recovery_window`.',
      },
    },
  },
  schedule: {
    named: true,
    doc: 'A job that the service starts by itself, again and again. See [schedule.md](schedule.md).',
    options: {
      cluster: { type: 'text', required: true, doc: 'The cluster that it is for.' },
      job: {
        type: 'choice',
        required: true,
        choices: ['backup', 'incremental-backup', 'expire', 'verify', 'drill'],
        doc: 'What is started: what `walden backup`, `walden backup --incremental`, `walden expire`, `walden verify` or `walden drill` does.',
      },
      cron: {
        type: 'text',
        required: true,
        doc: 'When, as cron writes it: minute, hour, day of the month, month, day of the week; with a second before them where there are six. `"30 2 * * 0"` is half past two on Sundays. Where both days are given, one of them suffices.',
      },
      time_zone: {
        type: 'text',
        required: false,
        default: { words: '`"UTC"`' },
        doc: 'The zone that `cron` is meant in, like `"Europe/Berlin"`. A time that the change to summer time leaves out is run right after the gap, one that comes twice is run once.',
      },
      jitter: {
        ...{ type: 'duration', required: false, minimumSeconds: 1, maximumSeconds: 86_400 },
        default: { words: 'none: exactly then' },
        doc: 'The most that it begins later than planned. How much of it is the same each time for this schedule of this service, and another for others, so that many do not begin at once.',
      },
      window: {
        ...{ type: 'duration', required: false, minimumSeconds: 1, maximumSeconds: 604_800 },
        default: { words: '`"6 hours"`' },
        doc: 'How late it may still begin, after the service was down or while another job is in its way. What is later than that is left out, which is an event.',
      },
      budget: {
        ...{ type: 'integer', required: false, minimum: 1, maximum: 1_000_000, unit: 'GB' },
        default: { words: 'everything' },
        doc: 'How much one verification reads, of all repositories together: what was not read for longest comes first. Only with `job = "verify"`.',
      },
    },
  },
  hook: {
    named: true,
    doc: 'A program or a web service that is told of events. See [schedule.md](schedule.md#hooks).',
    options: {
      on: {
        type: 'choices',
        required: true,
        choices: ['backup', 'expiry', 'failure', 'gap', 'incident'],
        doc: 'What it is told of: a backup that is complete, an expiry that is done, a job that failed or was missed and a part that is down, WAL that is missing, WAL that was refused.',
      },
      command: {
        type: 'command',
        required: false,
        default: { words: 'none: there is a `webhook`' },
        doc: 'The program, and its arguments as they are: no shell reads them. It gets the event as JSON on its standard input.',
      },
      webhook: {
        type: 'text',
        required: false,
        secret: true,
        default: { words: 'none: there is a `command`' },
        doc: 'The URL that the event is posted to as JSON: `https://…`, or `http://…` on this host.',
      },
      secret_file: {
        type: 'path',
        required: false,
        default: { words: 'none: what is posted is not signed' },
        doc: 'File with the secret that what is posted is signed with. Only the user of the service may read or write it.',
      },
      timeout: {
        ...{ type: 'duration', required: false, minimumSeconds: 1, maximumSeconds: 600 },
        default: { words: '`"30 s"`' },
        doc: 'How long one attempt may take.',
      },
    },
  },
} as const satisfies Readonly<Record<string, Section>>;

export type SectionKind = keyof typeof SECTIONS;

type ValueOf<O extends Option> = O['type'] extends 'integer' | 'duration'
  ? number
  : O['type'] extends 'switch'
    ? boolean
    : O['type'] extends 'names' | 'command'
      ? readonly string[]
      : O['type'] extends 'choices'
        ? readonly (O & ChoicesOption)['choices'][number][]
        : O['type'] extends 'choice'
          ? (O & ChoiceOption)['choices'][number]
          : O['type'] extends 'lock'
            ? ObjectLock
            : string;

/** Whether the loader always has a value: given, or a constant default. */
type IsCertain<O> = O extends { readonly required: true } | { readonly default: number } ? true : false;

type ValuesOf<Table> = {
  readonly [Key in keyof Table]: Table[Key] extends infer O extends Option
    ? IsCertain<O> extends true
      ? ValueOf<O>
      : ValueOf<O> | undefined
    : never;
};

/** Of a `[repository.NAME]`: each kind of store has options of its own. */
type RepositoryValues = {
  [Kind in StoreKind]: Omit<ValuesOf<(typeof SECTIONS)['repository']['options']>, 'driver'> & {
    readonly driver: Kind;
  } & ValuesOf<(typeof STORES)[Kind]['options']>;
}[StoreKind];

/** The checked values of a section, with the constant defaults filled in. */
export type SectionValues<K extends SectionKind> = K extends 'repository'
  ? RepositoryValues
  : ValuesOf<(typeof SECTIONS)[K]['options']>;

/** Where the file is looked for, in this order. */
export const CONFIG_FLAG = '--config';
export const CONFIG_VARIABLE = 'WALDEN_CONFIG';
export const DEFAULT_CONFIG_PATH = '/etc/walden/walden.toml';
export const LOG_LEVEL_VARIABLE = 'WALDEN_LOG_LEVEL';
