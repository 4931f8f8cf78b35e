import { Compile, type Static, Type } from '../typebox.ts';
import { WaldenError } from '../errors.ts';
import type { BackupId } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { assertIncrementHead, type IncrementHead, isIncrementPath } from '../postgres/incremental-file.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { isIncremental } from './names.ts';

/**
 * The manifest of a backup: newline-delimited JSON, written and read as a stream, since a cluster may have millions of
 * files. First line `{"walden":1,"backup":"<id>"}` (2 for an incremental one), then one line per entry, last line
 * `{"entries":N,"plainBytes":N}`.
 */

const FORMAT = 1;
/** Of incremental backups, where files may be increments. */
const INCREMENTAL_FORMAT = 2;
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** A frame is held in memory as a whole. Four times what is ever written. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Bytes in the pack, bytes of tar stream. */
export type ManifestFrame = readonly [stored: number, plain: number];

export interface ManifestFile {
  readonly type: 'file';
  /** Relative to the data directory; files of a tablespace stand under `pg_tblspc/<oid>/`. */
  readonly path: string;
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
  /** Number of the pack, from 1. */
  readonly pack: number;
  /** Where the first frame begins in the pack. */
  readonly offset: number;
  /** Bytes of tar header at the beginning of the first frame. */
  readonly skip: number;
  /** Consecutive in the pack. */
  readonly frames: readonly ManifestFrame[];
  /** Of a file `INCREMENTAL.<name>`, and only of one: how it begins. */
  readonly increment?: IncrementHead;
}

export interface ManifestDirectory {
  readonly type: 'directory';
  readonly path: string;
  readonly mode: number;
}

/** A symlink `pg_tblspc/<oid>` to where the tablespace stood. */
export interface ManifestTablespace {
  readonly type: 'tablespace';
  readonly path: string;
  readonly oid: number;
  readonly location: string;
}

export type ManifestEntry = ManifestFile | ManifestDirectory | ManifestTablespace;

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Mode = Type.Integer({ minimum: 0, maximum: 0o7777 });
const FrameBytes = Type.Integer({ minimum: 1, maximum: MAX_FRAME_BYTES });
const FileLine = Type.Object({
  path: Type.String(),
  type: Type.Literal('file'),
  size: Count,
  mode: Mode,
  mtime: Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  pack: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  offset: Count,
  skip: Count,
  frames: Type.Array(Type.Tuple([FrameBytes, FrameBytes]), { minItems: 1 }),
  increment: Type.Optional(Type.Object({ blocks: Count, truncation: Count })),
});
const DirectoryLine = Type.Object({ path: Type.String(), type: Type.Literal('directory'), mode: Mode });
const TablespaceLine = Type.Object({
  path: Type.String(),
  type: Type.Literal('tablespace'),
  oid: Type.Integer({ minimum: 1, maximum: 0xffff_ffff }),
  location: Type.String(),
});
const FirstLine = Type.Object({ walden: Type.Integer({ minimum: 1 }), backup: Type.String() });
const LastLine = Type.Object({ entries: Count, plainBytes: Count });

const lines = {
  file: Compile(FileLine),
  directory: Compile(DirectoryLine),
  tablespace: Compile(TablespaceLine),
  first: Compile(FirstLine),
  last: Compile(LastLine),
};

/** Lines of some entries, and what the last line must know of them. */
export interface EncodedManifestEntries {
  readonly lines: string;
  readonly entries: number;
  readonly plainBytes: number;
}

export function encodeManifestEntries(entries: readonly ManifestEntry[]): EncodedManifestEntries {
  let lines = '';
  let plainBytes = 0;
  for (const entry of entries) {
    lines += `${JSON.stringify(lineOf(entry))}\n`;
    if (entry.type === 'file') plainBytes += entry.size;
  }
  return { lines, entries: entries.length, plainBytes };
}

/** Writes the lines; give what each call returns to the compressor in this order. */
export class ManifestEncoder {
  #entries = 0;
  #plainBytes = 0;

  begin(backup: BackupId): string {
    return `${JSON.stringify({ walden: formatOf(backup), backup } satisfies Static<typeof FirstLine>)}\n`;
  }

  entries(encoded: EncodedManifestEntries): string {
    this.count(encoded);
    return encoded.lines;
  }

  /** Of lines that go to the compressor another way. */
  count({ entries, plainBytes }: Omit<EncodedManifestEntries, 'lines'>): void {
    this.#entries += entries;
    this.#plainBytes += plainBytes;
  }

  end(): string {
    return `${JSON.stringify({ entries: this.#entries, plainBytes: this.#plainBytes })}\n`;
  }
}

/** Reads and checks the lines as they come. Nothing is proven to be whole before `finish` has returned. */
export class ManifestParser {
  readonly #backup: BackupId;
  readonly #what: string;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #line = 0;
  #entries = 0;
  #plainBytes = 0;
  #ended = false;

  constructor(backup: BackupId, what: string) {
    this.#backup = backup;
    this.#what = what;
  }

  /** @throws FORMAT_INVALID, FORMAT_TOO_NEW */
  feed(chunk: Uint8Array): ManifestEntry[] {
    const entries: ManifestEntry[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#pending.push(chunk.subarray(start, end));
      const text = Buffer.concat(this.#pending).toString('utf8');
      this.#pending = [];
      this.#pendingBytes = 0;
      start = end + 1;
      const entry = this.#readLine(text);
      if (entry !== undefined) entries.push(entry);
    }
    // Copied: the caller may write into the chunk again.
    if (start < chunk.byteLength) this.#pending.push(Uint8Array.from(chunk.subarray(start)));
    this.#pendingBytes += chunk.byteLength - start;
    if (this.#pendingBytes > MAX_LINE_BYTES) throw this.#invalid('has a line without end');
    return entries;
  }

  /** @throws FORMAT_INVALID when the last line is missing. */
  finish(): void {
    if (!this.#ended || this.#pendingBytes > 0) throw this.#invalid('ends too early: its last line is missing');
  }

  #readLine(text: string): ManifestEntry | undefined {
    this.#line += 1;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      throw this.#invalid(`is not JSON in line ${this.#line}`, cause);
    }
    if (this.#ended) throw this.#invalid(`goes on after its last line, in line ${this.#line}`);
    if (this.#line === 1) {
      this.#readFirst(json);
      return undefined;
    }
    if (lines.last.Check(json)) {
      this.#readLast(json);
      return undefined;
    }
    const entry = this.#toEntry(json);
    this.#entries += 1;
    if (entry.type === 'file') this.#plainBytes += entry.size;
    return entry;
  }

  #readFirst(json: unknown): void {
    if (!lines.first.Check(json)) throw this.#invalid('does not begin as a manifest');
    if (json.walden > INCREMENTAL_FORMAT) {
      const fact = `${this.#what} has format ${json.walden}; this version knows ${INCREMENTAL_FORMAT}`;
      throw new WaldenError('FORMAT_TOO_NEW', fact);
    }
    if (json.walden !== formatOf(this.#backup)) throw this.#invalid(`has format ${json.walden}`);
    if (json.backup !== this.#backup) throw this.#invalid(`belongs to the backup ${JSON.stringify(json.backup)}`);
  }

  #readLast(json: Static<typeof LastLine>): void {
    if (json.entries !== this.#entries || json.plainBytes !== this.#plainBytes) {
      throw this.#invalid(`announces ${json.entries} entries and holds ${this.#entries}`);
    }
    this.#ended = true;
  }

  #toEntry(json: unknown): ManifestEntry {
    if (lines.file.Check(json)) {
      const plain = json.frames.reduce((sum, [, bytes]) => sum + bytes, 0);
      if (plain < json.skip + json.size) throw this.#invalid(`has a file with too few frames in line ${this.#line}`);
      this.#checkPath(json.path);
      const { increment, ...file } = json;
      this.#checkIncrement(json.path, json.size, increment);
      return {
        ...file,
        mtime: json.mtime as Micros,
        sha256: json.sha256 as Sha256Hex,
        ...(increment === undefined ? {} : { increment }),
      };
    }
    if (lines.directory.Check(json)) {
      this.#checkPath(json.path);
      return json;
    }
    if (lines.tablespace.Check(json)) {
      const sound = json.path === `pg_tblspc/${json.oid}` && /^\/[^\0]*$/.test(json.location);
      if (!sound) throw this.#invalid(`names a tablespace badly in line ${this.#line}`);
      return json;
    }
    throw this.#invalid(`has an entry of an unknown shape in line ${this.#line}`);
  }

  #checkIncrement(path: string, size: number, increment: IncrementHead | undefined): void {
    const expected = isIncremental(this.#backup) && isIncrementPath(path);
    if (expected !== (increment !== undefined)) {
      throw this.#invalid(`does not tell whether ${JSON.stringify(path)} is whole, in line ${this.#line}`);
    }
    if (increment !== undefined) assertIncrementHead(increment, size, `${path} in ${this.#what}`);
  }

  #checkPath(path: string): void {
    if (!isEntryPath(path)) {
      throw this.#invalid(`has the path ${JSON.stringify(path.slice(0, 200))}, which would lead out of the directory`);
    }
  }

  #invalid(fact: string, cause?: unknown): WaldenError {
    return new WaldenError('FORMAT_INVALID', `${this.#what} ${fact}`, cause === undefined ? {} : { cause });
  }
}

function formatOf(backup: BackupId): number {
  return isIncremental(backup) ? INCREMENTAL_FORMAT : FORMAT;
}

/** Whether `path` is relative and stays below where it starts: no empty, `.` or `..` part, no NUL. */
export function isEntryPath(path: string): boolean {
  if (path.length === 0 || path.length > 4096 || path.includes('\0')) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function lineOf(entry: ManifestEntry): Record<string, unknown> {
  switch (entry.type) {
    case 'file': {
      const { path, type, size, mode, mtime, sha256, pack, offset, skip, frames, increment } = entry;
      const line = { path, type, size, mode, mtime, sha256, pack, offset, skip, frames };
      if (increment === undefined) return line;
      return { ...line, increment: { blocks: increment.blocks, truncation: increment.truncation } };
    }
    case 'directory':
      return { path: entry.path, type: entry.type, mode: entry.mode };
    case 'tablespace':
      return { path: entry.path, type: entry.type, oid: entry.oid, location: entry.location };
  }
}
