import { WaldenError } from '../../errors.ts';
import { TAR_BLOCK_BYTES, tarPaddingBytes } from '../../repository/tar-header.ts';

/** What the header of a member says. */
export interface TarMember {
  /** As it stands in the archive, without the slash at its end: what a path may be is for others to say. */
  readonly name: Buffer;
  readonly type: 'file' | 'directory' | 'symlink';
  /** Of the body; 0 unless it is a file. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Of a symlink. */
  readonly target: Buffer;
}

/** After the `member` of a file comes its body in pieces, and then `end`. A piece is a part of the chunk that was fed. */
export type TarEvent =
  | { readonly kind: 'member'; readonly member: TarMember }
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'end' };

interface Field {
  readonly at: number;
  readonly bytes: number;
}

/** Where they stand in a header (POSIX ustar). */
const NAME: Field = { at: 0, bytes: 100 };
const MODE: Field = { at: 100, bytes: 8 };
const UID: Field = { at: 108, bytes: 8 };
const GID: Field = { at: 116, bytes: 8 };
const SIZE: Field = { at: 124, bytes: 12 };
const MTIME: Field = { at: 136, bytes: 12 };
const CHECKSUM: Field = { at: 148, bytes: 8 };
const TYPE_AT = 156;
const TARGET: Field = { at: 157, bytes: 100 };
const MAGIC: Field = { at: 257, bytes: 5 };
const PREFIX: Field = { at: 345, bytes: 155 };

const SLASH = 0x2f;
const SPACE = 0x20;
/** In the first byte of a number: the others are it as it is, the highest first. */
const BASE_256 = 0x80;
const TYPES: ReadonlyMap<number, TarMember['type']> = new Map([
  [0x30, 'file'],
  [0x32, 'symlink'],
  [0x35, 'directory'],
]);
const NO_BLOCK = Buffer.alloc(TAR_BLOCK_BYTES);

/**
 * Reads a tar as PostgreSQL sends it (tarCreateHeader in port/tar.c): ustar with names of at most 99 bytes, no prefixes, no
 * extensions, and numbers that do not fit in base 256. Whatever else there is, pax headers or GNU's long names, no server
 * sends: it is refused rather than guessed at. The end may lack its two empty blocks, as it does up to PostgreSQL 14.
 */
export class TarReader {
  readonly #what: string;
  readonly #block = Buffer.alloc(TAR_BLOCK_BYTES);
  #blockBytes = 0;
  #inFile = false;
  /** Of the body, and behind it up to a whole block: what has not come yet. */
  #bodyBytes = 0;
  #paddingBytes = 0;
  #ended = false;

  /** `what` names the archive in errors. */
  constructor(what: string) {
    this.#what = what;
  }

  /** All events must be taken. @throws FORMAT_INVALID */
  *feed(chunk: Buffer): Generator<TarEvent, void, undefined> {
    for (let at = 0; at < chunk.length;) {
      if (this.#inFile) {
        const bytes = chunk.subarray(at, at + this.#bodyBytes);
        at += bytes.length;
        this.#bodyBytes -= bytes.length;
        yield { kind: 'body', bytes };
        if (this.#bodyBytes === 0) yield this.#endOfFile();
      } else if (this.#paddingBytes > 0) {
        const skipped = Math.min(this.#paddingBytes, chunk.length - at);
        at += skipped;
        this.#paddingBytes -= skipped;
      } else {
        const copied = chunk.copy(this.#block, this.#blockBytes, at);
        at += copied;
        this.#blockBytes += copied;
        if (this.#blockBytes === TAR_BLOCK_BYTES) yield* this.#takeBlock();
      }
    }
  }

  /** Whether so many bytes, which come next, are all of one file, and not its last: then they are taken as its body. */
  passBody(bytes: number): boolean {
    if (!this.#inFile || bytes >= this.#bodyBytes) return false;
    this.#bodyBytes -= bytes;
    return true;
  }

  /** @throws FORMAT_INVALID when the archive ended inside a member */
  finish(): void {
    if (this.#inFile || this.#paddingBytes > 0 || this.#blockBytes > 0) throw this.#invalid('ends inside a member');
  }

  *#takeBlock(): Generator<TarEvent, void, undefined> {
    this.#blockBytes = 0;
    if (this.#block.equals(NO_BLOCK)) {
      this.#ended = true;
      return;
    }
    if (this.#ended) throw this.#invalid('goes on behind its end');
    const member = this.#member();
    yield { kind: 'member', member };
    if (member.type !== 'file') return;
    this.#inFile = true;
    this.#bodyBytes = member.size;
    this.#paddingBytes = tarPaddingBytes(member.size);
    if (member.size === 0) yield this.#endOfFile();
  }

  #endOfFile(): TarEvent {
    this.#inFile = false;
    return { kind: 'end' };
  }

  #member(): TarMember {
    const block = this.#block;
    if (this.#number(CHECKSUM) !== checksumOf(block)) throw this.#invalid('has a header with a wrong checksum');
    if (block.toString('latin1', MAGIC.at, MAGIC.at + MAGIC.bytes) !== 'ustar' || block[PREFIX.at] !== 0) {
      throw this.#invalid('has a header that is not as PostgreSQL writes them');
    }
    const type = TYPES.get(block[TYPE_AT] ?? 0);
    if (type === undefined) throw this.#invalid(`has a member of the type ${block[TYPE_AT] ?? 0}`);
    const name = this.#text(NAME);
    const size = this.#number(SIZE);
    if (type !== 'file' && size !== 0) throw this.#invalid('has a member that is no file and has bytes');
    return {
      // Directories, and symlinks, which lead to directories, have one.
      name: name.at(-1) === SLASH ? name.subarray(0, -1) : name,
      type,
      size,
      mode: this.#number(MODE) & 0o7777,
      uid: this.#number(UID),
      gid: this.#number(GID),
      mtimeSeconds: this.#number(MTIME),
      target: this.#text(TARGET),
    };
  }

  /** Copied: the block is used for the next member. */
  #text({ at, bytes }: Field): Buffer {
    const field = this.#block.subarray(at, at + bytes);
    const end = field.indexOf(0);
    return Buffer.from(end < 0 ? field : field.subarray(0, end));
  }

  #number({ at, bytes }: Field): number {
    const field = this.#block.subarray(at, at + bytes);
    const value = ((field[0] ?? 0) & BASE_256) === 0 ? octal(field) : base256(field);
    if (value !== undefined && Number.isSafeInteger(value)) return value;
    throw this.#invalid('has a header with a number that is none');
  }

  #invalid(fact: string): WaldenError {
    return new WaldenError('FORMAT_INVALID', `${this.#what} is no tar as PostgreSQL sends it: it ${fact}`);
  }
}

/** Digits, then spaces or zeros. */
function octal(field: Buffer): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function base256(field: Buffer): number {
  let value = (field[0] ?? 0) & ~BASE_256;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  return value;
}

/** The sum of all bytes, its own field counted as spaces. */
function checksumOf(block: Buffer): number {
  let sum = CHECKSUM.bytes * SPACE;
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) {
    if (at < CHECKSUM.at || at >= CHECKSUM.at + CHECKSUM.bytes) sum += block[at] ?? 0;
  }
  return sum;
}
