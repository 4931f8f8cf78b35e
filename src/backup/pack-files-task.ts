import { createHash, type Hash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { systemErrorCode, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { allocatePages } from '../postgres/data-page.ts';
import { micros } from '../postgres/timestamp.ts';
import { type FrameCompressor, frameCompressor } from '../repository/codec.ts';
import type { ManifestEntry, ManifestFile, ManifestFrame } from '../repository/manifest.ts';
import { encodeTarHeader, TAR_BLOCK_BYTES, tarPaddingBytes } from '../repository/tar-header.ts';
import { encodeEntries } from './encode-entries.ts';
import { FrameSink } from './frame-sink.ts';
import {
  type BadPage,
  DONE_BYTES,
  type FileAttributes,
  type PackFilesInput,
  type PackFilesOutput,
  type PackMember,
  STOP,
} from './pack-input.ts';
import { PackHash } from './pack-hash.ts';
import { PageCheck } from './page-check.ts';
import { membersOf } from './planned-files.ts';
import { PACK_END } from './seal-pack-task.ts';

/**
 * Packs files on a worker thread: read in chunks into reused buffers, pages checked, hashed, compressed into frames of at
 * most 4 MiB of tar stream, appended to a staged pack. Each file begins a frame. The cluster is in use, so a file may change
 * under the hand: it is read to the size it had when it was opened, what was cut off meanwhile is zeros (recovery cuts it
 * off too), and one that vanished is left out.
 */

const FRAME_BYTES = 4 * 1024 * 1024;
/** Small enough to be still in the cache of the processor when it is hashed, after its pages were checked. */
const READ_BYTES = 256 * 1024;
/** Kept free in a file's first frame for its tar header; a whole page, so that every frame holds whole pages. */
const HEADER_ROOM_BYTES = 8192;

/** One for good, of those threads that pack; pages are checked in it. */
let frameBuffer: Buffer | undefined;

/** @throws LOCAL_IO, STORAGE_FULL, INTERRUPTED (the control says stop) */
export function packFilesAndEncode(input: PackFilesInput): PackFilesOutput {
  const { entries, ...rest } = packFiles(input);
  return { entries: encodeEntries(entries, input.room), ...rest };
}

export type PackedFiles = Omit<PackFilesOutput, 'entries'> & { readonly entries: readonly ManifestEntry[] };

/** @throws as `packFilesAndEncode` */
export function packFiles(input: PackFilesInput): PackedFiles {
  const hash = new PackHash(input.pack, input.offset);
  const sink = new FrameSink(input.pack, input.offset, (bytes) => {
    hash.update(bytes);
  });
  try {
    const packer = new Packer(input, sink);
    for (const member of membersOf(input.members)) packer.pack(member);
    sink.flush();
    const { entries, badPages, notes } = packer;
    const { offset } = sink;
    return { entries, badPages, notes, offset, sealedSha256: hash.keep(offset, PACK_END) };
  } finally {
    sink.close();
  }
}

class Packer {
  readonly entries: ManifestEntry[] = [];
  readonly badPages: BadPage[] = [];
  readonly notes: string[] = [];
  readonly #input: PackFilesInput;
  readonly #sink: FrameSink;
  readonly #control: BigInt64Array;
  readonly #compressor: FrameCompressor;
  readonly #plain: Buffer;

  constructor(input: PackFilesInput, sink: FrameSink) {
    this.#input = input;
    this.#sink = sink;
    this.#control = new BigInt64Array(input.control);
    this.#compressor = frameCompressor(input.compressionLevel);
    this.#plain = frameBuffer ??= allocatePages(FRAME_BYTES);
  }

  pack(member: PackMember): void {
    this.#stopIfAsked();
    if (member.type === 'file') this.#packFile(member);
    else this.#packDirectory(member);
  }

  #packDirectory(member: PackMember): void {
    const found = ifThere(member, () => statSync(member.source, { bigint: true }));
    if (found === undefined) return;
    const { path, tablespace } = member;
    const attributes = attributesOf(found);
    this.#writeFrame(headerInto(this.#plain, member, 'directory', attributes, 0));
    this.entries.push(
      tablespace === undefined
        ? { type: 'directory', path, mode: attributes.mode }
        : { type: 'tablespace', path, ...tablespace },
    );
  }

  #packFile(member: PackMember): void {
    // Not through a symlink that took the file's place, and never waiting on a pipe that did.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const descriptor = ifThere(member, () => openSync(member.source, flags));
    if (descriptor === undefined) return;
    try {
      const found = fstatSync(descriptor, { bigint: true });
      if (found.isFile()) this.#packOpened(member, descriptor, found);
      else this.notes.push(`${member.path} is not in the backup: it is no regular file`);
    } finally {
      closeSync(descriptor);
    }
  }

  #packOpened(member: PackMember, descriptor: number, found: BigIntStats): void {
    const size = Number(found.size);
    const attributes = member.attributes ?? attributesOf(found);
    const skip = headerInto(this.#plain, member, 'file', attributes, size);
    const offset = this.#sink.offset;
    const hash = createHash('sha256');
    const pages = PageCheck.of(member.path, descriptor, this.#input.pages);
    const frames: ManifestFrame[] = [];
    let filled = skip;
    let room = FRAME_BYTES - HEADER_ROOM_BYTES;
    let done = 0;
    do {
      const end = Math.min(size, done + room);
      while (done < end) {
        const chunk = this.#plain.subarray(filled, filled + Math.min(READ_BYTES, end - done));
        this.#readChunk({ member, descriptor, hash, pages }, chunk, done);
        filled += chunk.byteLength;
        done += chunk.byteLength;
      }
      if (done === size) {
        const padding = tarPaddingBytes(size);
        this.#plain.fill(0, filled, filled + padding);
        filled += padding;
      }
      frames.push([this.#writeFrame(filled), filled]);
      filled = 0;
      room = FRAME_BYTES;
    } while (done < size);
    this.entries.push(this.#entry(member, { size, skip, offset, frames }, attributes, hash));
  }

  #readChunk(file: OpenFile, chunk: Buffer, offset: number): void {
    this.#stopIfAsked();
    let length = 0;
    while (length < chunk.byteLength) {
      const count = readOrFail(file, chunk, length, offset);
      if (count === 0) break;
      length += count;
    }
    chunk.fill(0, length);
    if (file.pages !== undefined) this.badPages.push(...file.pages.check(chunk, offset));
    file.hash.update(chunk);
    Atomics.add(this.#control, DONE_BYTES, BigInt(chunk.byteLength));
  }

  #writeFrame(length: number): number {
    const frame = this.#compressor.compress(this.#plain.subarray(0, length));
    this.#sink.write(frame);
    return frame.byteLength;
  }

  #entry(
    member: PackMember,
    place: Pick<ManifestFile, 'size' | 'skip' | 'offset' | 'frames'>,
    attributes: FileAttributes,
    hash: Hash,
  ): ManifestFile {
    return {
      type: 'file',
      path: member.path,
      size: place.size,
      mode: attributes.mode,
      mtime: micros(attributes.mtime),
      sha256: hash.digest('hex') as Sha256Hex,
      pack: this.#input.packNumber,
      offset: place.offset,
      skip: place.skip,
      frames: place.frames,
    };
  }

  #stopIfAsked(): void {
    if (Atomics.load(this.#control, STOP) !== 0n) throw new WaldenError('INTERRUPTED', 'the backup was interrupted');
  }
}

interface OpenFile {
  readonly member: PackMember;
  readonly descriptor: number;
  readonly hash: Hash;
  readonly pages: PageCheck | undefined;
}

/** Puts the tar header at the beginning of the buffer; its length. */
function headerInto(
  buffer: Buffer,
  member: PackMember,
  type: 'file' | 'directory',
  { mode, uid, gid, mtime }: FileAttributes,
  size: number,
): number {
  const mtimeSeconds = Math.floor(mtime / 1_000_000);
  const header = encodeTarHeader({ path: member.path, type, size, mode, uid, gid, mtimeSeconds });
  if (header.byteLength + TAR_BLOCK_BYTES > HEADER_ROOM_BYTES) {
    throw new WaldenError('LOCAL_IO', `unable to back up ${member.path}: its name is too long`);
  }
  header.copy(buffer);
  return header.byteLength;
}

function attributesOf(found: BigIntStats): FileAttributes {
  return {
    mode: Number(found.mode) & 0o7777,
    uid: Number(found.uid),
    gid: Number(found.gid),
    mtime: Number(found.mtimeNs / 1000n),
  };
}

function readOrFail({ member, descriptor }: OpenFile, chunk: Buffer, length: number, offset: number): number {
  try {
    return readSync(descriptor, chunk, length, chunk.byteLength - length, offset + length);
  } catch (cause) {
    throw readFailure(member, cause);
  }
}

function ifThere<T>(member: PackMember, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    // ELOOP: a symlink took the place. ENXIO: a socket did.
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw readFailure(member, error);
  }
}

function readFailure(member: PackMember, cause: unknown): WaldenError {
  const fact = cause instanceof Error ? cause.message : String(cause);
  return new WaldenError('LOCAL_IO', `unable to read ${member.source}: ${fact}`, {
    hint: 'the user of the service must be able to read the data directory',
    cause,
  });
}
