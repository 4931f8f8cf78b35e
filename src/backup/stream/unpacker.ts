import { WaldenError } from '../../errors.ts';
import { crc32cOf } from '../../postgres/crc32c-bytes.ts';
import type { ServerTablespace } from '../../postgres/replication/base-backup-messages.ts';
import { StreamDecompressor } from '../../repository/codec.ts';
import { isEntryPath } from '../../repository/manifest.ts';
import type { FileAttributes } from '../pack-input.ts';
import type { RoomFiller } from './room-filler.ts';
import { listedChecksum, listedName } from './server-manifest.ts';
import { type TarMember, TarReader } from './tar-reader.ts';

/** A file that ends a backup, kept until then. */
export interface KeptFile {
  readonly bytes: Uint8Array;
  readonly attributes: FileAttributes;
}

/** Packed last, and in another order than they come in. */
const KEPT = ['backup_label', 'global/pg_control'] as const;
export type KeptPath = (typeof KEPT)[number];
const MOST_KEPT_BYTES = 1024 * 1024;
/** PostgreSQL sends them from a standby; a node restored by hand would become one unasked. Walden writes its own. */
const LEFT_OUT: ReadonlySet<string> = new Set(['recovery.signal', 'standby.signal']);
const TABLESPACE_MODE = 0o700;

interface OpenMember {
  readonly listed: string;
  readonly size: number;
  readonly attributes: FileAttributes;
  readonly fate: 'pack' | 'leave out' | KeptPath;
  readonly pieces: Buffer[];
  /** Unless it is packed: then others hash it. */
  crc: number;
}

interface OpenArchive {
  readonly tablespace: ServerTablespace | undefined;
  readonly tar: TarReader;
  readonly decompressor: StreamDecompressor | undefined;
  isEmpty: boolean;
}

export interface UnpackerTools {
  readonly filler: RoomFiller;
  /** Told what is left out although the server sent it. */
  readonly note: (message: string) => void;
}

/** Takes the archives of a base backup apart: members for the packs, and the files that are kept aside. */
export class Unpacker {
  readonly #tools: UnpackerTools;
  readonly #isCompressed: boolean;
  readonly #kept = new Map<KeptPath, KeptFile>();
  readonly #tablespacePaths = new Set<string>();
  #archive: OpenArchive | undefined;
  #member: OpenMember | undefined;

  constructor(tools: UnpackerTools, compression: 'none' | 'zstd') {
    this.#tools = tools;
    this.#isCompressed = compression === 'zstd';
  }

  /** @throws FORMAT_INVALID when one has not come: without these files a backup is none */
  kept(path: KeptPath): KeptFile {
    const file = this.#kept.get(path);
    if (file !== undefined) return file;
    throw new WaldenError('FORMAT_INVALID', `the base backup that PostgreSQL sent has no ${path}`);
  }

  /** `tablespace` is undefined for the data directory itself. @throws as `endArchive`, of the one before */
  beginArchive(tablespace: ServerTablespace | undefined): void {
    this.endArchive();
    const what =
      tablespace === undefined ? 'the archive of the data directory' : `the archive of ${tablespace.location}`;
    const decompressor = this.#isCompressed ? new StreamDecompressor(what) : undefined;
    this.#archive = { tablespace, tar: new TarReader(what), decompressor, isEmpty: true };
  }

  /** @throws FORMAT_INVALID when the archive is not whole */
  endArchive(): void {
    this.#archive?.decompressor?.finish();
    this.#archive?.tar.finish();
    this.#archive = undefined;
  }

  /**
   * Takes the next bytes of the archive at once where nothing has to be waited for: in the middle of a file, whose room has
   * space for them. That is most of what comes. @returns whether it did
   */
  dataNow(bytes: Buffer): boolean {
    const { filler } = this.#tools;
    if (this.#isCompressed || this.#member?.fate !== 'pack' || !filler.hasSpace(bytes.length)) return false;
    if (this.#archive?.tar.passBody(bytes.length) !== true) return false;
    filler.bodyNow(bytes);
    return true;
  }

  /** The next bytes of the archive. @returns how many there are of its files @throws FORMAT_INVALID, CHECKSUM_MISMATCH */
  async data(bytes: Buffer): Promise<number> {
    const archive = this.#archive;
    if (archive === undefined) throw new WaldenError('FORMAT_INVALID', 'PostgreSQL sent bytes of no archive');
    if (archive.decompressor === undefined) return await this.#untar(archive, bytes);
    let count = 0;
    for (const piece of archive.decompressor.feed(bytes)) {
      count += await this.#untar(archive, Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
    }
    return count;
  }

  async #untar(archive: OpenArchive, bytes: Buffer): Promise<number> {
    let count = 0;
    for (const event of archive.tar.feed(bytes)) {
      switch (event.kind) {
        case 'member':
          await this.#begin(archive, event.member);
          break;
        case 'body':
          count += event.bytes.length;
          await this.#body(event.bytes);
          break;
        case 'end':
          this.#end();
      }
    }
    return count;
  }

  async #begin(archive: OpenArchive, member: TarMember): Promise<void> {
    const { tablespace } = archive;
    const attributes = attributesOf(member);
    if (archive.isEmpty && tablespace !== undefined) await this.#beginTablespace(tablespace, attributes);
    archive.isEmpty = false;
    const listed = listedName(nameIn(tablespace, member.name));
    const isText = !listed.startsWith('\0');
    if (isText && !isEntryPath(listed)) {
      throw new WaldenError('FORMAT_INVALID', `PostgreSQL sent a file ${JSON.stringify(listed)}, which is no path`);
    }
    if (!isText) this.#tools.note(`${member.name.toString('latin1')} is not in the backup: its name is not UTF-8`);
    if (member.type === 'file') await this.#beginFile(listed, isText, member, attributes);
    else if (isText && !this.#tablespacePaths.has(listed)) await this.#beginDirectory(listed, member, attributes);
  }

  /** The symlink to it comes later, in the archive of the data directory. */
  async #beginTablespace({ oid, location }: ServerTablespace, like: FileAttributes): Promise<void> {
    const path = tablespacePath(oid);
    this.#tablespacePaths.add(path);
    // One made with allow_in_place_tablespaces is a directory like any other.
    const isElsewhere = location.startsWith('/');
    const directory = isElsewhere ? { path, tablespace: { oid, location } } : { path };
    await this.#tools.filler.directory(directory, { ...like, mode: TABLESPACE_MODE });
  }

  async #beginDirectory(path: string, { type }: TarMember, attributes: FileAttributes): Promise<void> {
    if (type === 'directory') await this.#tools.filler.directory({ path }, attributes);
    else throw new WaldenError('FORMAT_INVALID', `PostgreSQL sent a symlink ${JSON.stringify(path)}, to no tablespace`);
  }

  async #beginFile(listed: string, isText: boolean, { size }: TarMember, attributes: FileAttributes): Promise<void> {
    const fate = isText ? fateOf(listed) : 'leave out';
    if (KEPT.some((path) => path === fate) && size > MOST_KEPT_BYTES) {
      throw new WaldenError('FORMAT_INVALID', `PostgreSQL sent ${listed} with ${size} bytes`);
    }
    this.#member = { listed, size, attributes, fate, pieces: [], crc: 0 };
    if (fate === 'pack') await this.#tools.filler.beginFile(listed, size, attributes);
  }

  async #body(bytes: Buffer): Promise<void> {
    const member = this.#openMember();
    if (member.fate === 'pack') {
      await this.#tools.filler.body(bytes);
      return;
    }
    member.crc = crc32cOf(bytes, member.crc);
    if (member.fate !== 'leave out') member.pieces.push(Buffer.from(bytes));
  }

  #end(): void {
    const { listed, size, attributes, fate, pieces, crc } = this.#openMember();
    const { filler } = this.#tools;
    if (fate === 'pack') filler.endFile();
    else filler.aside({ name: listed, size, checksum: listedChecksum(crc) });
    if (fate !== 'pack' && fate !== 'leave out') this.#kept.set(fate, { bytes: Buffer.concat(pieces), attributes });
    this.#member = undefined;
  }

  #openMember(): OpenMember {
    if (this.#member !== undefined) return this.#member;
    throw new WaldenError('INTERNAL', 'no member was begun');
  }
}

export function tablespacePath(oid: number): string {
  return `pg_tblspc/${oid}`;
}

function fateOf(path: string): OpenMember['fate'] {
  if (LEFT_OUT.has(path)) return 'leave out';
  return KEPT.find((kept) => kept === path) ?? 'pack';
}

/** As manifests have it; some names begin with `./` in the archive of the data directory. */
function nameIn(tablespace: ServerTablespace | undefined, name: Buffer): Buffer {
  if (tablespace !== undefined) return Buffer.concat([Buffer.from(`${tablespacePath(tablespace.oid)}/`), name]);
  return name.subarray(0, 2).equals(Buffer.from('./')) ? name.subarray(2) : name;
}

function attributesOf({ mode, uid, gid, mtimeSeconds }: TarMember): FileAttributes {
  return { mode, uid, gid, mtime: mtimeSeconds * 1_000_000 };
}
