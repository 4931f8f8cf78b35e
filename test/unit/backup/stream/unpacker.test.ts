import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ReceivedFiles } from '../../../../src/backup/stream/received-files.ts';
import { type EmptyRoom, RoomFiller, type Rooms } from '../../../../src/backup/stream/room-filler.ts';
import { type FilledUnit, ROOM_BYTES } from '../../../../src/backup/stream/unit.ts';
import { Unpacker } from '../../../../src/backup/stream/unpacker.ts';
import { createTextRoom } from '../../../../src/platform/shared-text.ts';
import { compressBytes } from '../../../../src/repository/codec.ts';
import { encodeTarHeader, tarEnd, tarPaddingBytes } from '../../../../src/repository/tar-header.ts';
import { encodeIncrement } from '../../../support/block-history.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const OWNER = { mode: 0o600, uid: 26, gid: 27, mtimeSeconds: 1_700_000_000 };
const blocks = (count: number): number[] => Array.from({ length: count }, (_, index) => index * 3);

/** Small and large increments, one without a block, and files as a whole. */
const ARCHIVE = Buffer.concat(
  [
    ['PG_VERSION', Buffer.from('17\n')],
    ['base/5/INCREMENTAL.1', encodeIncrement(9, [2, 5], [20, 50])],
    ['base/5/INCREMENTAL.2', encodeIncrement(4, [], [])],
    ['base/5/INCREMENTAL.3', encodeIncrement(2000, blocks(600), blocks(600))],
    ['base/5/3_fsm', Buffer.alloc(24_576, 3)],
    ['backup_label', Buffer.from('START WAL LOCATION: 0/2000028\n')],
    ['global/pg_control', Buffer.alloc(8192, 7)],
  ]
    .flatMap(([path, body]) => [
      encodeTarHeader({ path: String(path), type: 'file', size: body!.length, ...OWNER }),
      body as Buffer,
      Buffer.alloc(tarPaddingBytes(body!.length)),
    ])
    .concat(tarEnd()),
);

/** Rooms that nobody empties, and what was put into each: hashes, since they are compared only. */
class Recorded implements Rooms {
  readonly units: unknown[] = [];
  #taken: EmptyRoom | undefined;

  take(): Promise<EmptyRoom> {
    this.#taken = { number: 0, bytes: Buffer.alloc(ROOM_BYTES), text: createTextRoom() };
    return Promise.resolve(this.#taken);
  }

  hand({ textBytes, part }: FilledUnit): void {
    const { bytes, text } = this.#taken!;
    const sum = createHash('sha256').update(bytes).digest('hex');
    this.units.push({ part, sum, text: Buffer.from(text, 0, textBytes).toString('utf8') });
  }
}

/** What comes of the archive when it comes in pieces that end at these parts of it. */
async function unpack(compression: 'none' | 'zstd', cuts: readonly number[]): Promise<unknown> {
  const rooms = new Recorded();
  const filler = new RoomFiller(rooms, { increments: true });
  const received = new ReceivedFiles(join(newDirectory('received'), 'received'));
  const unpacker = new Unpacker({ filler, received, note: () => undefined }, compression);
  const bytes = compression === 'zstd' ? Buffer.from(compressBytes(ARCHIVE, 1)) : ARCHIVE;
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  unpacker.beginArchive(undefined);
  let count = 0;
  for (const [index, from] of places.slice(0, -1).entries()) {
    count += await unpacker.data(bytes.subarray(from, places[index + 1]));
  }
  unpacker.endArchive();
  filler.finish();
  received.close();
  return { count, units: rooms.units, label: Buffer.from(unpacker.kept('backup_label').bytes).toString('utf8') };
}

describe('Unpacker', () => {
  it('makes the same of an incremental backup that the server compresses, however it comes', async () => {
    const plain = await unpack('none', []);
    expect(plain).toMatchObject({ label: 'START WAL LOCATION: 0/2000028\n' });
    expect((plain as { readonly units: readonly unknown[] }).units.length).toBeGreaterThan(2);
    const cut = fc.double({ min: 0, max: 1, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { maxLength: 6 }), fc.boolean(), async (cuts, isCompressed) => {
        expect(await unpack(isCompressed ? 'zstd' : 'none', cuts)).toEqual(plain);
      }),
      { numRuns: 30 },
    );
  });
});
