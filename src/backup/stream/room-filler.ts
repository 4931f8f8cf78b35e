import { createHash, type Hash } from 'node:crypto';
import { WaldenError } from '../../errors.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { copyBytes } from '../../platform/copy-bytes.ts';
import { shareTexts } from '../../platform/shared-text.ts';
import { micros } from '../../postgres/timestamp.ts';
import { encodeTarHeader, tarPaddingBytes } from '../../repository/tar-header.ts';
import { isIncrementPath } from '../../postgres/incremental-file.ts';
import type { FileAttributes } from '../pack-input.ts';
import { IncrementReader } from './increment-reader.ts';
import {
  type FilledUnit,
  HEADER_ROOM_BYTES,
  type LargeFile,
  ROOM_BYTES,
  type UnitContents,
  type UnitDirectory,
  type UnitMember,
  type UnitPart,
} from './unit.ts';

/** Of a unit: their text has a room, too. */
const MEMBERS = 256;
const TEXT_BYTES = 200 * 1024;
/** Of a member's text: around its path, and for each character of that at most. */
const MEMBER_TEXT_BYTES = 300;
const CHARACTER_TEXT_BYTES = 6;

/** A room that is nobody else's, until it is handed on. */
export interface EmptyRoom {
  readonly number: number;
  readonly bytes: Buffer;
  /** For the text of the members. */
  readonly text: SharedArrayBuffer;
}

export interface Rooms {
  /** The next one that is free. */
  take(): Promise<EmptyRoom>;
  hand(unit: FilledUnit): void;
}

interface OpenFile {
  readonly path: string;
  readonly size: number;
  readonly attributes: FileAttributes;
  readonly hash: Hash;
  readonly isLarge: boolean;
  readonly increment: IncrementReader | undefined;
  /** Of its tar header, in this unit. */
  skip: number;
  /** Of it before this unit, and in all. */
  offset: number;
  done: number;
}

/**
 * Fills rooms with members of a tar, one after the other: headers made anew (a path may be another one here), bodies hashed
 * and copied, padding. Many small files share a room; a large one has rooms of its own.
 */
export class RoomFiller {
  readonly #rooms: Rooms;
  readonly #increments: boolean;
  #room: EmptyRoom | undefined;
  #filled = 0;
  #members: UnitMember[] = [];
  #textBytes = 0;
  #file: OpenFile | undefined;

  /** `increments`: whether the backup is an incremental one. */
  constructor(rooms: Rooms, { increments }: { readonly increments: boolean }) {
    this.#rooms = rooms;
    this.#increments = increments;
  }

  async directory(
    { path, tablespace }: Pick<UnitDirectory, 'path' | 'tablespace'>,
    attributes: FileAttributes,
  ): Promise<void> {
    const header = headerOf(path, 'directory', attributes, 0);
    const room = await this.#roomFor(header.length);
    copyBytes(header, room.bytes, this.#filled);
    this.#filled += header.length;
    const member: UnitDirectory = { type: 'directory', path, mode: attributes.mode, bytes: header.length };
    this.#add(tablespace === undefined ? member : { ...member, tablespace });
  }

  async beginFile(path: string, size: number, attributes: FileAttributes): Promise<void> {
    const header = headerOf(path, 'file', attributes, size);
    const bytes = header.length + size + tarPaddingBytes(size);
    const isLarge = bytes > ROOM_BYTES;
    if (isLarge) this.#handOnMembers();
    const room = await this.#roomFor(isLarge ? ROOM_BYTES : bytes);
    copyBytes(header, room.bytes, this.#filled);
    this.#filled += header.length;
    const hash = createHash('sha256');
    const increment = this.#increments && isIncrementPath(path) ? new IncrementReader(path, size) : undefined;
    this.#file = { path, size, attributes, hash, isLarge, increment, skip: header.length, offset: 0, done: 0 };
  }

  /** The next bytes of the file. */
  async body(bytes: Buffer): Promise<void> {
    const file = this.#openFile();
    file.hash.update(bytes);
    file.increment?.feed(bytes);
    for (let rest = bytes; rest.length > 0;) {
      const room = this.#room ?? (await this.#takeRoom());
      const part = rest.subarray(0, this.#spaceFor(file));
      copyBytes(part, room.bytes, this.#filled);
      this.#filled += part.length;
      file.done += part.length;
      rest = rest.subarray(part.length);
      if (rest.length > 0) this.#handOnPart(file, undefined);
    }
  }

  /** @returns the hash of the file */
  endFile(): Sha256Hex {
    const file = this.#openFile();
    if (file.done !== file.size) throw new WaldenError('INTERNAL', `${file.path} has ended in its middle`);
    const sha256 = file.hash.digest('hex') as Sha256Hex;
    const padding = tarPaddingBytes(file.size);
    this.#room?.bytes.fill(0, this.#filled, this.#filled + padding);
    this.#filled += padding;
    const { path, size, attributes, skip, increment } = file;
    const entry = {
      ...{ path, size, mode: attributes.mode, mtime: micros(attributes.mtime), sha256 },
      ...(increment === undefined ? {} : { increment: increment.head }),
    };
    if (file.isLarge) this.#handOnPart(file, entry);
    else this.#add({ type: 'file', ...entry, skip, bytes: skip + size + padding });
    this.#file = undefined;
    return sha256;
  }

  /** Hands on what has not been yet. */
  finish(): void {
    this.#handOnMembers();
  }

  #add(member: UnitMember): void {
    const texts = member.path.length + (member.type === 'directory' ? (member.tablespace?.location.length ?? 0) : 0);
    this.#textBytes += MEMBER_TEXT_BYTES + CHARACTER_TEXT_BYTES * texts;
    this.#members.push(member);
  }

  #openFile(): OpenFile {
    if (this.#file !== undefined) return this.#file;
    throw new WaldenError('INTERNAL', 'no file was begun');
  }

  /** Each frame of a large file holds whole pages: in the first one, less room is left by the header. */
  #spaceFor({ isLarge, skip, offset }: OpenFile): number {
    const end = isLarge && offset === 0 ? ROOM_BYTES - HEADER_ROOM_BYTES + skip : ROOM_BYTES;
    return end - this.#filled;
  }

  async #roomFor(bytes: number): Promise<EmptyRoom> {
    const isFull = this.#members.length >= MEMBERS || this.#textBytes >= TEXT_BYTES;
    if (isFull || this.#filled + bytes > ROOM_BYTES) this.#handOnMembers();
    return this.#room ?? (await this.#takeRoom());
  }

  async #takeRoom(): Promise<EmptyRoom> {
    this.#room = await this.#rooms.take();
    this.#filled = 0;
    return this.#room;
  }

  #handOnPart(file: OpenFile, end: LargeFile | undefined): void {
    const { path, skip, offset, done, increment } = file;
    const blocks = increment === undefined ? {} : { blocks: increment.blocksIn(offset, done - offset) };
    this.#hand({ path, skip, offset, bytes: this.#filled, end, ...blocks });
    file.skip = 0;
    file.offset = file.done;
  }

  #handOnMembers(): void {
    if (this.#members.length > 0) this.#hand(undefined);
  }

  #hand(part: UnitPart | undefined): void {
    const room = this.#room;
    if (room === undefined) throw new WaldenError('INTERNAL', 'there is no room to hand on');
    const contents: UnitContents = { members: this.#members, part };
    const [text] = shareTexts(room.text, JSON.stringify(contents));
    if (typeof text === 'string') throw new WaldenError('INTERNAL', 'the text of a unit has no room');
    this.#rooms.hand({ room: room.number, textBytes: text.bytes, part });
    this.#room = undefined;
    this.#filled = 0;
    this.#members = [];
    this.#textBytes = 0;
  }
}

function headerOf(path: string, type: 'file' | 'directory', attributes: FileAttributes, size: number): Buffer {
  const { mode, uid, gid, mtime } = attributes;
  const mtimeSeconds = Math.floor(mtime / 1_000_000);
  const header = encodeTarHeader({ path, type, size, mode, uid, gid, mtimeSeconds });
  if (header.length <= HEADER_ROOM_BYTES) return header;
  throw new WaldenError('FORMAT_INVALID', `unable to back up ${path}: its name is too long`);
}
