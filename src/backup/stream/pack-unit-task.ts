import { WaldenError } from '../../errors.ts';
import { type FrameCompressor, frameBound, frameCompressor } from '../../repository/codec.ts';
import type { ManifestEntry } from '../../repository/manifest.ts';
import { encodeEntries } from '../encode-entries.ts';
import { DATA_PAGE_BYTES } from '../../postgres/data-page.ts';
import { FrameSink } from '../frame-sink.ts';
import { type BadPage, STOP } from '../pack-input.ts';
import { packPath } from '../pack-shelf.ts';
import { badPagesIn, badPagesInIncrement, badPagesOfBlocks } from './streamed-pages.ts';
import { UnitBoard } from './board.ts';
import { beginNext, type Place, takeTurn, wakeTurns } from './turn.ts';
import {
  type PackUnitInput,
  type PackUnitOutput,
  ROOM_BYTES,
  type UnitContents,
  type UnitMember,
  type UnitPart,
  type UnitRoom,
} from './unit.ts';

/**
 * Packs one unit on a worker thread: its pages checked, its frames compressed, and then, when it is its turn, written behind
 * those of the units before it.
 */

/** Beyond what one frame of the same bytes takes: what the many of small files may take more. */
const MORE_BYTES = 1024 * 1024;
/** One for good, of those threads that pack. */
let output: Buffer | undefined;

/** @throws LOCAL_IO, STORAGE_FULL, INTERRUPTED (the control says stop) */
export function packUnit(input: PackUnitInput): PackUnitOutput {
  const control = new BigInt64Array(input.control);
  const cells = new BigInt64Array(input.turn);
  try {
    if (Atomics.load(control, STOP) !== 0n) throw new WaldenError('INTERRUPTED', 'the backup was interrupted');
    const number = beginNext(cells);
    const { room, contents } = unitAt(input, number);
    const packer = new UnitPacker(input, room);
    const packed = packer.pack(contents, (bytes) =>
      takeTurn(cells, control, { number, bytes, opensPackAfter: opensPackAfter(contents, input.packBytes) }),
    );
    return { number, ...packed };
  } catch (error) {
    // Its turn may never come to an end: nobody must wait for it.
    Atomics.store(control, STOP, 1n);
    wakeTurns(cells);
    throw error;
  }
}

/** The frames of one file stand in one pack. */
function opensPackAfter({ part }: UnitContents, packBytes: number): number | undefined {
  return part === undefined || part.offset === 0 ? packBytes : undefined;
}

function unitAt(input: PackUnitInput, number: number): { readonly room: UnitRoom; readonly contents: UnitContents } {
  const { room: roomNumber, textBytes } = new UnitBoard(input.board).get(number);
  const room = input.rooms[roomNumber];
  if (room === undefined) throw new WaldenError('INTERNAL', `there is no room ${roomNumber}`);
  // Copied: not everything that takes bytes takes shared ones.
  const text = Buffer.from(new Uint8Array(room.text, 0, textBytes)).toString('utf8');
  return { room, contents: JSON.parse(text) as UnitContents };
}

class UnitPacker {
  readonly #input: PackUnitInput;
  readonly #room: Uint8Array;
  readonly #text: SharedArrayBuffer;
  readonly #compressor: FrameCompressor;
  readonly #badPages: BadPage[] = [];
  readonly #output: Buffer;
  #bytes = 0;

  constructor(input: PackUnitInput, room: UnitRoom) {
    this.#input = input;
    this.#room = new Uint8Array(room.bytes);
    this.#text = room.text;
    this.#compressor = frameCompressor(input.compressionLevel);
    this.#output = output ??= Buffer.allocUnsafeSlow(frameBound(ROOM_BYTES) + MORE_BYTES);
  }

  pack({ members, part }: UnitContents, place: (bytes: number) => Place): Omit<PackUnitOutput, 'number'> {
    const frames = part === undefined ? this.#compressMembers(members) : [this.#compressPart(part)];
    const { pack, offset } = place(this.#bytes);
    this.#write(pack, offset);
    const entries = encodeEntries(entriesOf(members, frames, { pack, offset }), this.#text);
    return { pack, offset, storedBytes: this.#bytes, entries, badPages: this.#badPages };
  }

  #compressMembers(members: readonly UnitMember[]): readonly number[] {
    let at = 0;
    return members.map((member) => {
      const plain = this.#room.subarray(at, at + member.bytes);
      at += member.bytes;
      if (member.type === 'file') {
        const bytes = plain.subarray(member.skip, member.skip + member.size);
        if (member.increment === undefined) this.#check(member.path, bytes, 0);
        else this.#badPages.push(...badPagesInIncrement(member.path, bytes, this.#input.pages));
      }
      return this.#compress(plain);
    });
  }

  #compressPart({ path, offset, skip, bytes, end, blocks }: UnitPart): number {
    const dataEnd = end === undefined ? bytes : skip + end.size - offset;
    if (blocks === undefined) {
      this.#check(path, this.#room.subarray(skip, dataEnd), offset);
    } else {
      const pages = this.#room.subarray(dataEnd - blocks.length * DATA_PAGE_BYTES, dataEnd);
      this.#badPages.push(...badPagesOfBlocks(path, blocks, pages, this.#input.pages));
    }
    return this.#compress(this.#room.subarray(0, bytes));
  }

  #check(path: string, bytes: Uint8Array, offset: number): void {
    this.#badPages.push(...badPagesIn({ path, offset }, bytes, this.#input.pages));
  }

  #compress(plain: Uint8Array): number {
    const length = this.#compressor.compressInto(this.#output.subarray(this.#bytes), plain);
    this.#bytes += length;
    return length;
  }

  #write(pack: number, offset: number): void {
    const sink = new FrameSink(packPath(this.#input.directory, pack), offset);
    try {
      sink.write(this.#output.subarray(0, this.#bytes));
      sink.flush();
    } finally {
      sink.close();
    }
  }
}

function entriesOf(members: readonly UnitMember[], frames: readonly number[], start: Place): readonly ManifestEntry[] {
  let { offset } = start;
  return members.map((member, index): ManifestEntry => {
    const stored = frames[index] ?? 0;
    const at = offset;
    offset += stored;
    if (member.type === 'file') {
      const { bytes, ...file } = member;
      return { ...file, pack: start.pack, offset: at, frames: [[stored, bytes]] };
    }
    const { path, mode, tablespace } = member;
    return tablespace === undefined ? { type: 'directory', path, mode } : { type: 'tablespace', path, ...tablespace };
  });
}
