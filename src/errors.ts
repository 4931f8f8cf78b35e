/**
 * The one error class and the one table of codes.
 *
 * A code decides the exit status (a stable interface, 1..125) and whether trying again can help. Messages say what was
 * attempted, on what, and the fact: lower case, no full stop. Nothing is ever matched by message text.
 */

interface ErrorKind {
  /** Exit status of a command that ends with this error. */
  readonly exit: number;
  /** Whether the same attempt may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** One action; used when the place that raises the error knows nothing better. */
  readonly hint: string;
}

export const ERRORS = {
  USAGE: { exit: 2, retryable: false, hint: 'see the --help of the command' },
  CONFIG_INVALID: { exit: 3, retryable: false, hint: 'correct the key named above; docs/options.md lists every key' },
  INTERNAL: { exit: 4, retryable: false, hint: 'this is a defect in Walden: please report it with the text above' },
  NOT_FOUND: { exit: 5, retryable: false, hint: 'list what exists with: walden list, walden jobs' },

  ARCHIVE_FILE_MISSING: { exit: 1, retryable: false, hint: 'the archive does not hold this file' },

  SERVER_UNREACHABLE: { exit: 10, retryable: true, hint: 'check conninfo and that PostgreSQL is running' },
  SERVER_MISMATCH: {
    exit: 11,
    retryable: false,
    hint: 'this belongs to another cluster: check data_directory, conninfo and the cluster name',
  },
  SERVER_QUERY: { exit: 12, retryable: false, hint: 'look into the log of PostgreSQL' },
  SERVER_SETTINGS: { exit: 13, retryable: false, hint: 'change the setting named above and restart PostgreSQL' },
  STANDBY_NOT_READY: { exit: 16, retryable: false, hint: 'look into the log of the standby' },
  SERVICE_UNREACHABLE: { exit: 14, retryable: true, hint: 'start it with: walden service' },

  STORAGE_UNAVAILABLE: { exit: 20, retryable: true, hint: 'check that the repository can be reached' },
  STORAGE_DENIED: { exit: 21, retryable: false, hint: 'give the user of the service the permission to use this path' },
  STORAGE_OBJECT_MISSING: { exit: 22, retryable: false, hint: 'run: walden catalog rebuild' },
  STORAGE_OBJECT_EXISTS: {
    exit: 23,
    retryable: false,
    hint: 'nothing was overwritten; compare the two before you do anything',
  },
  STORAGE_FULL: { exit: 24, retryable: true, hint: 'free space; Walden goes on by itself' },
  STORAGE_SIZE: { exit: 25, retryable: true, hint: 'the transfer was cut short; it is tried again' },
  STORAGE_LOCKED: {
    exit: 26,
    retryable: false,
    hint: 'it can be removed when the lock is over; Walden tries again then',
  },

  CHECKSUM_MISMATCH: {
    exit: 30,
    retryable: false,
    hint: 'the stored object is damaged: use another repository or another backup',
  },
  FORMAT_INVALID: { exit: 31, retryable: false, hint: 'this is not a file that Walden or PostgreSQL wrote whole' },
  FORMAT_TOO_NEW: { exit: 32, retryable: false, hint: 'use the newer version of Walden that wrote this' },
  KEY_MISSING: {
    exit: 34,
    retryable: false,
    hint: 'put the key that opens it into the key_directory of the repository',
  },
  KEY_REFUSED: {
    exit: 35,
    retryable: false,
    hint: 'only the user of the service may read its keys and change their directory',
  },

  ARCHIVE_DUPLICATE: {
    exit: 40,
    retryable: false,
    hint: 'two servers write into one archive, or a restored copy archives: give one of them archive_mode = off or another cluster name',
  },
  SECOND_WRITER: {
    exit: 43,
    retryable: false,
    hint: 'stop the server that should not write this timeline, or set archive_mode = off in it',
  },
  ARCHIVE_GAP: { exit: 41, retryable: false, hint: 'see: walden wal gaps' },
  ARCHIVE_TIMEOUT: {
    exit: 42,
    retryable: true,
    hint: 'check that archive_command runs: select * from pg_stat_archiver',
  },

  BACKUP_INVALID: { exit: 50, retryable: false, hint: 'choose another backup with --backup' },
  TARGET_UNREACHABLE: {
    exit: 51,
    retryable: false,
    hint: 'choose a target inside the recoverable window: walden status',
  },
  WAL_NOT_ARCHIVED: {
    exit: 54,
    retryable: false,
    hint: 'put it into the archive first, or give it up knowingly with --discard-wal',
  },
  PATH_NOT_EMPTY: { exit: 52, retryable: false, hint: 'name a new or empty directory' },
  DRILL_FAILED: { exit: 56, retryable: false, hint: 'see what it found: walden show CLUSTER --drills' },
  SERVER_RUNNING: { exit: 53, retryable: false, hint: 'stop the server that uses this directory first' },

  HOOK_FAILED: { exit: 75, retryable: true, hint: 'try the command or the webhook of the hook by hand' },

  LOCK_HELD: { exit: 60, retryable: true, hint: 'wait for it to end, or end it' },
  CATALOG_CORRUPT: { exit: 61, retryable: false, hint: 'move the catalog away and run: walden catalog rebuild' },
  CATALOG_TOO_NEW: { exit: 62, retryable: false, hint: 'use the newer version of Walden that made this catalog' },
  CATALOG_INCOMPLETE: {
    exit: 65,
    retryable: true,
    hint: 'wait until it is done (walden jobs); a restore waits by itself',
  },
  INTERRUPTED: { exit: 63, retryable: true, hint: 'begin it again' },
  LOCAL_IO: { exit: 64, retryable: true, hint: 'check the disk and the permissions of the path named above' },

  CHECK_FAILED: { exit: 70, retryable: false, hint: 'do what stands under each line that failed' },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

export interface WaldenErrorOptions {
  /** One action, one sentence, no full stop. Overrides the hint of the code. */
  readonly hint?: string;
  /** Facts for programs: shown by `--json`, never parsed from the message. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Every failure that Walden expects. `exitCode` and `retryable` come from the table. */
export class WaldenError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: WaldenErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WaldenError';
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ERRORS[this.code].exit;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Whether `error` is a WaldenError with one of these codes (any code when none is named). */
export function isWaldenError(error: unknown, ...codes: readonly ErrorCode[]): error is WaldenError {
  return error instanceof WaldenError && (codes.length === 0 || codes.includes(error.code));
}

/** The error as Walden's own: itself, LOCAL_IO or STORAGE_FULL for what the system refused, else INTERNAL around it. */
export function toWaldenError(error: unknown): WaldenError {
  if (error instanceof WaldenError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (!isOfTheSystem(error)) {
    return new WaldenError('INTERNAL', message, { cause: error });
  }
  return new WaldenError(isFull(error) ? 'STORAGE_FULL' : 'LOCAL_IO', message, { cause: error });
}

/**
 * What the system refused on this host: STORAGE_FULL or LOCAL_IO, with what was attempted, on what, and the system's own
 * code. Walden's errors stay as they are.
 */
export function localIoError(error: unknown, attempted: string, options: WaldenErrorOptions = {}): WaldenError {
  if (error instanceof WaldenError) return error;
  const reason = systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
  return new WaldenError(isFull(error) ? 'STORAGE_FULL' : 'LOCAL_IO', `${attempted} (${reason})`, {
    ...options,
    cause: error,
  });
}

/** Whether a disk or a quota is full. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error) ?? '');
}

/** The same error with what was attempted put before its message. */
export function withContext(error: unknown, attempted: string): WaldenError {
  const { code, message, hint, details } = toWaldenError(error);
  return new WaldenError(code, `${attempted}: ${message}`, { hint, details, cause: error });
}

/** The `code` of a Node system error (`ENOENT`, `EEXIST`, …), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof WaldenError || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Whether the system refused a call: Node itself and packages give codes too. */
export function isOfTheSystem(error: unknown): boolean {
  return error instanceof Error && !(error instanceof WaldenError) && 'syscall' in error && 'errno' in error;
}

/** How an error crosses the HTTP API, a worker's boundary or a `--json` document. */
export interface ErrorDocument {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function errorToDocument(error: unknown): ErrorDocument {
  const { code, message, hint, details } = toWaldenError(error);
  return { code, message, hint, details };
}

export function errorFromDocument(document: ErrorDocument): WaldenError {
  const { code, message, hint, details } = document;
  return new WaldenError(Object.hasOwn(ERRORS, code) ? code : 'INTERNAL', message, { hint, details });
}
