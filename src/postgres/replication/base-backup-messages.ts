import { WaldenError } from '../../errors.ts';
import { type Lsn, parseLsn, type TimelineId, timelineId } from '../lsn.ts';
import type { BackendMessage } from './frame-reader.ts';
import { readColumns, readErrorFields, readValues } from './messages.ts';
import { serverError } from './wire.ts';

export interface BackupPosition {
  readonly lsn: Lsn;
  readonly timeline: TimelineId;
}

export interface ServerTablespace {
  readonly oid: number;
  readonly location: string;
}

/** What happens in a base backup. `data` are bytes of the archive or the manifest that began last. */
export type BaseBackupEvent =
  | { readonly kind: 'started'; readonly position: BackupPosition }
  | {
      readonly kind: 'tablespaces';
      readonly tablespaces: readonly ServerTablespace[];
      /** As the server counted before; it is in use. */
      readonly totalBytes: number;
    }
  /** Undefined: of the data directory itself, which comes last. */
  | { readonly kind: 'archive'; readonly tablespace: number | undefined }
  | { readonly kind: 'manifest' }
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'notice'; readonly text: string }
  /** All has come, and backup mode has ended. The backup is good only after `done`. */
  | { readonly kind: 'stopped'; readonly position: BackupPosition }
  /** `corrupt`: the server found pages with a wrong checksum. */
  | { readonly kind: 'done'; readonly corrupt: boolean };

/** From here on there is one copy with a letter at the beginning of each message; before, one copy for each archive. */
const ONE_COPY = 150_000;
/** SQLSTATE (errcodes.txt). After all is sent: checksums were wrong (perform_base_backup in basebackup.c). */
const DATA_CORRUPTED = 'XX001';

const DATA = 0x64;
const ARCHIVE = 0x6e;
const MANIFEST = 0x6d;
const PROGRESS = 0x70;
const PROGRESS_BYTES = 9;
/** Two paths, of MAXPGPATH each. */
const MAX_SMALL_BYTES = 4096;

/**
 * The messages of BASE_BACKUP in their order: a row with the start; rows with the tablespaces, the data directory last;
 * the archives in the same order, then the manifest; a row with the stop; CommandComplete; ReadyForQuery. CopyData is given
 * in pieces.
 */
export class BaseBackupMessages {
  readonly #attempted: string;
  readonly #oneCopy: boolean;
  #columns: readonly string[] = [];
  #rows: (readonly (Buffer | undefined)[])[] = [];
  #results = 0;
  #archives: readonly (number | undefined)[] = [];
  #copies = 0;
  /** The letter of the message whose pieces come. */
  #letter = 0;
  /** A message that is no data, as far as it has come. */
  #small: Buffer | undefined;
  #stopped = false;
  #completed = false;
  #corrupt = false;

  constructor(serverVersion: number, attempted: string) {
    this.#oneCopy = serverVersion >= ONE_COPY;
    this.#attempted = attempted;
  }

  /** @throws SERVER_QUERY when the server refuses or something else comes, SERVER_UNREACHABLE when it ends */
  read(message: BackendMessage): BaseBackupEvent | undefined {
    const { type, body } = message;
    switch (type) {
      case 'd':
        return this.#oneCopy ? this.#readLettered(message) : { kind: 'data', bytes: body };
      case 'H':
        return this.#oneCopy ? undefined : this.#beginCopy();
      case 'T':
        this.#columns = readColumns(body);
        this.#rows = [];
        return undefined;
      case 'D':
        this.#rows.push(readValues(body));
        return undefined;
      case 'C':
        return this.#complete();
      case 'N':
        return { kind: 'notice', text: readErrorFields(body).get('M') ?? '' };
      case 'E':
        this.#fail(body);
        return undefined;
      case 'Z':
        if (this.#stopped && (this.#completed || this.#corrupt)) return { kind: 'done', corrupt: this.#corrupt };
        throw this.#unexpected('ended the backup without a word');
      default:
        // The end of a copy, and changes of settings.
        return undefined;
    }
  }

  /** A result without rows is only the word that the command is done. */
  #complete(): BaseBackupEvent | undefined {
    if (this.#columns.length === 0) {
      this.#completed = true;
      return undefined;
    }
    const columns = this.#columns;
    const rows = this.#rows.map((values) => new Map(columns.map((name, index) => [name, values[index]?.toString()])));
    this.#columns = [];
    this.#results += 1;
    if (this.#results === 1) return { kind: 'started', position: this.#position(rows) };
    if (this.#results === 2) return this.#tablespaces(rows);
    this.#stopped = true;
    return { kind: 'stopped', position: this.#position(rows) };
  }

  #position([row]: readonly ReadonlyMap<string, string | undefined>[]): BackupPosition {
    const [position, timeline] = [row?.get('recptr'), row?.get('tli')];
    if (position === undefined || timeline === undefined) throw this.#unexpected('gave no position');
    return { lsn: parseLsn(position), timeline: timelineId(Number(timeline)) };
  }

  #tablespaces(rows: readonly ReadonlyMap<string, string | undefined>[]): BaseBackupEvent {
    this.#archives = rows.map((row) => {
      const oid = row.get('spcoid');
      return oid === undefined ? undefined : this.#oid(oid);
    });
    const tablespaces = rows.flatMap((row, index) => {
      const oid = this.#archives[index];
      const location = row.get('spclocation');
      return oid === undefined || location === undefined ? [] : [{ oid, location }];
    });
    const totalBytes = rows.reduce((sum, row) => sum + Number(row.get('size') ?? 0) * 1024, 0);
    return { kind: 'tablespaces', tablespaces, totalBytes };
  }

  #beginCopy(): BaseBackupEvent {
    const index = this.#copies;
    this.#copies += 1;
    if (index > this.#archives.length) throw this.#unexpected('sent more archives than it had named');
    if (index === this.#archives.length) return { kind: 'manifest' };
    return { kind: 'archive', tablespace: this.#archives[index] };
  }

  #readLettered({ body, continues }: BackendMessage): BaseBackupEvent | undefined {
    if (continues === undefined) {
      if (this.#small !== undefined) throw this.#unexpected('sent only a part of a message');
      this.#letter = body[0] ?? 0;
      if (this.#letter === DATA) return body.length > 1 ? { kind: 'data', bytes: body.subarray(1) } : undefined;
    } else if (this.#letter === DATA) {
      return { kind: 'data', bytes: body };
    }
    return this.#readSmall(Buffer.concat([this.#small ?? Buffer.alloc(0), body]));
  }

  #readSmall(soFar: Buffer): BaseBackupEvent | undefined {
    this.#small = soFar;
    switch (this.#letter) {
      case MANIFEST:
        this.#small = undefined;
        return { kind: 'manifest' };
      case PROGRESS:
        if (soFar.length >= PROGRESS_BYTES) this.#small = undefined;
        return undefined;
      case ARCHIVE: {
        const nameEnd = soFar.indexOf(0, 1);
        if (nameEnd < 0 || soFar.indexOf(0, nameEnd + 1) < 0) break;
        this.#small = undefined;
        return this.#named(soFar.toString('utf8', 1, nameEnd));
      }
      default:
        throw this.#unexpected(`sent a message with the letter ${this.#letter}`);
    }
    if (soFar.length > MAX_SMALL_BYTES) throw this.#unexpected('sent a name without an end');
    return undefined;
  }

  /** `base.tar` or `<oid>.tar`, with what says how it is compressed behind it. */
  #named(name: string): BaseBackupEvent {
    const [, base, oid] = /^(?:(base)|(\d+))\.tar(?:\.zst)?$/.exec(name) ?? [];
    if (base === undefined && oid === undefined) throw this.#unexpected(`sent an archive ${JSON.stringify(name)}`);
    return { kind: 'archive', tablespace: oid === undefined ? undefined : this.#oid(oid) };
  }

  #oid(text: string): number {
    const oid = Number(text);
    if (/^\d{1,10}$/.test(text) && oid > 0 && oid <= 0xffff_ffff) return oid;
    throw this.#unexpected(`named a tablespace ${JSON.stringify(text)}`);
  }

  /** Of wrong checksums the server tells after it has sent everything; whatever else it tells is the end. */
  #fail(body: Buffer): void {
    const error = serverError(this.#attempted, body);
    if (!this.#stopped || error.code !== 'SERVER_QUERY' || error.details['sqlstate'] !== DATA_CORRUPTED) throw error;
    this.#corrupt = true;
  }

  #unexpected(what: string): WaldenError {
    return new WaldenError('SERVER_QUERY', `${this.#attempted}: PostgreSQL ${what}`);
  }
}
