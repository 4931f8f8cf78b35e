import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HashedUnits } from '../../../../src/backup/stream/hashed-units.ts';
import { ReceivedFiles } from '../../../../src/backup/stream/received-files.ts';
import { RoomFiller } from '../../../../src/backup/stream/room-filler.ts';
import type { EmptyRoom } from '../../../../src/backup/stream/room-queue.ts';
import { listedChecksum } from '../../../../src/backup/stream/server-manifest.ts';
import { ROOM_BYTES } from '../../../../src/backup/stream/unit.ts';
import { UnitHash } from '../../../../src/backup/stream/unit-hash.ts';
import { Unpacker } from '../../../../src/backup/stream/unpacker.ts';
import { crc32c } from '../../../../src/postgres/crc32c.ts';
import { createTextRoom } from '../../../../src/platform/shared-text.ts';
import { compressBytes } from '../../../../src/repository/codec.ts';
import { encodeTarHeader, tarEnd, tarPaddingBytes } from '../../../../src/repository/tar-header.ts';
import { encodeIncrement } from '../../../support/block-history.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const OWNER = { mode: 0o600, uid: 26, gid: 27, mtimeSeconds: 1_700_000_000 };
const blocks = (count: number): number[] => Array.from({ length: count }, (_, index) => index * 3);

/** Small and large increments, one without a block, files as a whole, and such as are kept aside. */
const FILES: readonly (readonly [path: string, body: Buffer])[] = [
  ['backup_label', Buffer.from('START WAL LOCATION: 0/2000028\n')],
  ['PG_VERSION', Buffer.from('17\n')],
  ['base/5/INCREMENTAL.1', encodeIncrement(9, [2, 5], [20, 50])],
  ['standby.signal', Buffer.alloc(0)],
  ['base/5/INCREMENTAL.2', encodeIncrement(4, [], [])],
  ['base/5/INCREMENTAL.3', encodeIncrement(2000, blocks(600), blocks(600))],
  ['base/5/3_fsm', Buffer.alloc(24_576, 3)],
  ['global/pg_control', Buffer.alloc(8192, 7)],
];
const ARCHIVE = Buffer.concat(
  FILES.flatMap(([path, body]) => [
    encodeTarHeader({ path, type: 'file', size: body.length, ...OWNER }),
    body,
    Buffer.alloc(tarPaddingBytes(body.length)),
  ]).concat(tarEnd()),
);

/**
 * What comes of the archive when it comes in pieces that end at these parts of it: hashes, since they are compared only.
 * `atOnce`: how many pieces were taken without waiting.
 */
async function unpack(
  compression: 'none' | 'zstd',
  cuts: readonly number[],
): Promise<{ readonly made: unknown; readonly atOnce: number }> {
  const rooms: EmptyRoom[] = [];
  const units: unknown[] = [];
  const received = new ReceivedFiles(join(newDirectory('received'), 'received'));
  const hash = new UnitHash();
  const hashed = new HashedUnits({
    hasher: { hash: ({ room, ranges }) => Promise.resolve(hash.digests(rooms[room]!.bytes, ranges)) },
    received,
    hand: ({ room, textBytes, part }) => {
      const { bytes, text } = rooms[room]!;
      const sum = createHash('sha256').update(bytes).digest('hex');
      units.push({ part, sum, text: Buffer.from(text, 0, textBytes).toString('utf8') });
    },
    failed: (error) => expect.fail(error.message),
  });
  const filler = new RoomFiller({
    takeRoom: () => {
      const room: EmptyRoom = { number: rooms.length, bytes: Buffer.alloc(ROOM_BYTES), text: createTextRoom() };
      rooms.push(room);
      return Promise.resolve(room);
    },
    hand: (draft) => {
      hashed.add(draft);
    },
    increments: true,
  });
  const unpacker = new Unpacker({ filler, note: () => undefined }, compression);
  const bytes = compression === 'zstd' ? Buffer.from(compressBytes(ARCHIVE, 1)) : ARCHIVE;
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  unpacker.beginArchive(undefined);
  let [count, atOnce] = [0, 0];
  for (const [index, from] of places.slice(0, -1).entries()) {
    const piece = bytes.subarray(from, places[index + 1]);
    const isTaken = unpacker.dataNow(piece);
    if (isTaken) atOnce += 1;
    count += isTaken ? piece.length : await unpacker.data(piece);
  }
  unpacker.endArchive();
  await hashed.end(filler.finish());
  for (const [name, body] of FILES) {
    received.expect({ name, size: body.length, checksum: listedChecksum(crc32c(body)) });
  }
  received.expectEnd();
  received.close();
  const label = Buffer.from(unpacker.kept('backup_label').bytes).toString('utf8');
  return { made: { count, units, label }, atOnce };
}

describe('Unpacker', () => {
  it('makes the same of an incremental backup that the server compresses, however it comes', async () => {
    const { made } = await unpack('none', []);
    expect(made).toMatchObject({ label: 'START WAL LOCATION: 0/2000028\n' });
    expect((made as { readonly units: readonly unknown[] }).units.length).toBeGreaterThan(2);
    const cut = fc.double({ min: 0, max: 1, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { maxLength: 6 }), fc.boolean(), async (cuts, isCompressed) => {
        expect((await unpack(isCompressed ? 'zstd' : 'none', cuts)).made).toEqual(made);
      }),
      { numRuns: 30 },
    );
  });

  it('takes most of what PostgreSQL sends at once', async () => {
    const pieces = Math.ceil(ARCHIVE.length / 32_768);
    const cuts = Array.from({ length: pieces - 1 }, (_, index) => (index + 1) / pieces);
    const { made, atOnce } = await unpack('none', cuts);
    expect(made).toEqual((await unpack('none', [])).made);
    expect(atOnce).toBeGreaterThan(0.8 * pieces);
    expect(atOnce).toBeLessThan(pieces);
  });
});
