import { WaldenError } from '../../errors.ts';
import { copyBytes } from '../../platform/copy-bytes.ts';
import { micros } from '../../postgres/timestamp.ts';
import { encodeTarHeader, tarPaddingBytes } from '../../repository/tar-header.ts';
import { isIncrementPath } from '../../postgres/incremental-file.ts';
import type { FileAttributes } from '../pack-input.ts';
import type { DraftPart, DraftUnit } from './hashed-units.ts';
import { IncrementReader } from './increment-reader.ts';
import type { EmptyRoom } from './room-queue.ts';
import type { ListedFile } from './server-manifest.ts';
import { HEADER_ROOM_BYTES, ROOM_BYTES, type UnitDirectory } from './unit.ts';
import type { HashRange } from './unit-hash.ts';

/** Of a unit: their text has a room, too. */
const MEMBERS = 256;
const TEXT_BYTES = 200 * 1024;
/** Of a member's text: around its path, and for each character of that at most. */
const MEMBER_TEXT_BYTES = 300;
const CHARACTER_TEXT_BYTES = 6;

export interface RoomFillerPlace {
  /** The next room that is free. */
  readonly takeRoom: () => Promise<EmptyRoom>;
  /** What a room holds now; it is no longer the filler's. */
  readonly hand: (unit: DraftUnit) => void;
  /** Whether the backup is an incremental one. */
  readonly increments: boolean;
}

interface OpenFile {
  readonly path: string;
  readonly size: number;
  readonly attributes: FileAttributes;
  readonly isLarge: boolean;
  readonly increment: IncrementReader | undefined;
  /** Of its tar header, in this unit. */
  skip: number;
  /** Of it before this unit, and in all. */
  offset: number;
  done: number;
}

/**
 * Fills rooms with members of a tar, one after the other: headers made anew (a path may be another one here), bodies copied,
 * padding. Many small files share a room; a large one has rooms of its own.
 */
export class RoomFiller {
  readonly #place: RoomFillerPlace;
  #room: EmptyRoom | undefined;
  #filled = 0;
  #members: DraftUnit['members'][number][] = [];
  #ranges: HashRange[] = [];
  #received: DraftUnit['received'][number][] = [];
  #textBytes = 0;
  #file: OpenFile | undefined;

  constructor(place: RoomFillerPlace) {
    this.#place = place;
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
    const increment = this.#place.increments && isIncrementPath(path) ? new IncrementReader(path, size) : undefined;
    this.#file = { path, size, attributes, isLarge, increment, skip: header.length, offset: 0, done: 0 };
  }

  /** Whether the room has space for so many more bytes of the file. */
  hasSpace(bytes: number): boolean {
    return this.#room !== undefined && this.#file !== undefined && bytes <= this.#spaceFor(this.#file);
  }

  /** The next bytes of the file, for which there is space. */
  bodyNow(bytes: Buffer): void {
    const file = this.#openFile();
    file.increment?.feed(bytes);
    this.#put(file, this.#roomInUse(), bytes);
  }

  /** The next bytes of the file. */
  async body(bytes: Buffer): Promise<void> {
    const file = this.#openFile();
    file.increment?.feed(bytes);
    for (let rest = bytes; rest.length > 0;) {
      const room = this.#room ?? (await this.#takeRoom());
      const part = rest.subarray(0, this.#spaceFor(file));
      this.#put(file, room, part);
      rest = rest.subarray(part.length);
      if (rest.length > 0) this.#handOnPart(file, undefined);
    }
  }

  endFile(): void {
    const file = this.#openFile();
    if (file.done !== file.size) throw new WaldenError('INTERNAL', `${file.path} has ended in its middle`);
    const bodyEnd = this.#filled;
    const padding = tarPaddingBytes(file.size);
    this.#room?.bytes.fill(0, bodyEnd, bodyEnd + padding);
    this.#filled += padding;
    const { path, size, attributes, skip, increment } = file;
    const entry = {
      ...{ path, size, mode: attributes.mode, mtime: micros(attributes.mtime) },
      ...(increment === undefined ? {} : { increment: increment.head }),
    };
    this.#received.push({ name: path, size });
    if (file.isLarge) {
      this.#handOnPart(file, entry);
    } else {
      this.#ranges.push({ start: bodyEnd - size, end: bodyEnd, endsFile: true });
      this.#add({ type: 'file', ...entry, skip, bytes: skip + size + padding });
    }
    this.#file = undefined;
  }

  /** Another file that came, which is in no room. */
  aside(file: ListedFile): void {
    this.#received.push(file);
  }

  /** Hands on what has not been yet. @returns the files that came behind it and are in no room */
  finish(): DraftUnit['received'] {
    this.#handOnMembers();
    return this.#received.splice(0);
  }

  #put(file: OpenFile, room: EmptyRoom, bytes: Buffer): void {
    copyBytes(bytes, room.bytes, this.#filled);
    this.#filled += bytes.length;
    file.done += bytes.length;
  }

  #add(member: DraftUnit['members'][number]): void {
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
    this.#room = await this.#place.takeRoom();
    this.#filled = 0;
    return this.#room;
  }

  #handOnPart(file: OpenFile, end: DraftPart['end']): void {
    const { path, skip, offset, done, increment } = file;
    const blocks = increment === undefined ? {} : { blocks: increment.blocksIn(offset, done - offset) };
    this.#ranges.push({ start: skip, end: skip + done - offset, endsFile: end !== undefined });
    this.#hand({ path, skip, offset, bytes: this.#filled, end, ...blocks });
    file.skip = 0;
    file.offset = file.done;
  }

  #handOnMembers(): void {
    if (this.#members.length > 0) this.#hand(undefined);
  }

  #roomInUse(): EmptyRoom {
    if (this.#room !== undefined) return this.#room;
    throw new WaldenError('INTERNAL', 'there is no room in use');
  }

  #hand(part: DraftPart | undefined): void {
    const room = this.#roomInUse();
    this.#place.hand({ room, members: this.#members, part, ranges: this.#ranges, received: this.#received });
    this.#room = undefined;
    this.#filled = 0;
    this.#members = [];
    this.#ranges = [];
    this.#received = [];
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
