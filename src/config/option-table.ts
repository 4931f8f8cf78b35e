/**
 * The one table of options: the loader checks files against it and docs/options.md is rendered from it.
 *
 * Three kinds of sections: `[service]` once, `[repository.NAME]` and `[cluster.NAME]` as often as needed.
 */

interface OptionBase {
  readonly doc: string;
  readonly required: boolean;
  /** Filled in when the key is absent: a value, or words for what is worked out by the loader. */
  readonly default?: number | { readonly words: string };
}

/** An absolute path. */
interface PathOption extends OptionBase {
  readonly type: 'path';
  readonly maxBytes?: number;
}

/** Text that is not empty; `secret` text is never shown. */
interface TextOption extends OptionBase {
  readonly type: 'text';
  readonly secret?: true;
}

interface ChoiceOption extends OptionBase {
  readonly type: 'choice';
  readonly choices: readonly string[];
}

interface IntegerOption extends OptionBase {
  readonly type: 'integer';
  readonly minimum: number;
  readonly maximum: number;
  readonly unit?: string;
}

/** A list of names without repetition, at least one. */
interface NamesOption extends OptionBase {
  readonly type: 'names';
}

export type Option = PathOption | TextOption | ChoiceOption | IntegerOption | NamesOption;

export interface Section {
  /** Whether the header is `[kind.NAME]`. */
  readonly named: boolean;
  readonly doc: string;
  readonly options: Readonly<Record<string, Option>>;
}

/** `sun_path` of a unix socket has room for 104 bytes (BSD, macOS) or 108 (Linux), one of them for the end. */
const MAX_SOCKET_BYTES = 103;
const COMPRESSION = { type: 'integer', required: false, minimum: 1, maximum: 19 } as const;
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
    },
  },
  repository: {
    named: true,
    doc: 'A place that holds WAL files and backups. There may be several.',
    options: {
      driver: { type: 'choice', required: true, choices: ['local'], doc: 'The kind of store.' },
      path: {
        type: 'path',
        required: true,
        doc: 'Directory of the repository. It must not lie inside a data directory or another repository.',
      },
    },
  },
  cluster: {
    named: true,
    doc: 'A PostgreSQL cluster: a primary and its standbys under one name.',
    options: {
      data_directory: { type: 'path', required: true, doc: 'The data directory of the node on this host.' },
      conninfo: {
        type: 'text',
        required: true,
        secret: true,
        doc: 'How to connect to it, as libpq writes it. A password in it is never logged; a password file is better.',
      },
      repositories: {
        type: 'names',
        required: true,
        doc: 'Names of the repositories that must hold every WAL file before it is acknowledged.',
      },
      spool_directory: {
        type: 'path',
        required: false,
        default: { words: '`<state_directory>/spool`' },
        doc: "Where acknowledgements and prefetched segments wait, on the database host. The cluster's name is always appended.",
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
} as const satisfies Readonly<Record<string, Section>>;

export type SectionKind = keyof typeof SECTIONS;

type ValueOf<O extends Option> = O['type'] extends 'integer'
  ? number
  : O['type'] extends 'names'
    ? readonly string[]
    : O['type'] extends 'choice'
      ? (O & ChoiceOption)['choices'][number]
      : string;

type OptionsOf<K extends SectionKind> = (typeof SECTIONS)[K]['options'];

/** Whether the loader always has a value: given, or a constant default. */
type IsCertain<O> = O extends { readonly required: true } | { readonly default: number } ? true : false;

/** The checked values of a section, with the constant defaults filled in. */
export type SectionValues<K extends SectionKind> = {
  readonly [Key in keyof OptionsOf<K>]: OptionsOf<K>[Key] extends infer O extends Option
    ? IsCertain<O> extends true
      ? ValueOf<O>
      : ValueOf<O> | undefined
    : never;
};

/** Where the file is looked for, in this order. */
export const CONFIG_FLAG = '--config';
export const CONFIG_VARIABLE = 'WALDEN_CONFIG';
export const DEFAULT_CONFIG_PATH = '/etc/walden/walden.toml';
export const LOG_LEVEL_VARIABLE = 'WALDEN_LOG_LEVEL';
