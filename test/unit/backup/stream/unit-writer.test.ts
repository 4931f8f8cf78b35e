import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { EntryRecord } from '../../../../src/backup/entry-record.ts';
import { createPackControl } from '../../../../src/backup/pack-input.ts';
import { PackShelf } from '../../../../src/backup/pack-shelf.ts';
import { HashThread } from '../../../../src/backup/stream/hash-thread.ts';
import { HashedUnits } from '../../../../src/backup/stream/hashed-units.ts';
import { ReceivedFiles } from '../../../../src/backup/stream/received-files.ts';
import { RoomFiller } from '../../../../src/backup/stream/room-filler.ts';
import { RoomQueue } from '../../../../src/backup/stream/room-queue.ts';
import { ROOM_BYTES, type UnitContents } from '../../../../src/backup/stream/unit.ts';
import { UnitWriter } from '../../../../src/backup/stream/unit-writer.ts';
import { createTextRoom } from '../../../../src/platform/shared-text.ts';
import { createWorkerPool, type WorkerPool } from '../../../../src/platform/worker-pool.ts';
import { backupIdAt } from '../../../../src/backup/choose-id.ts';
import { openTestRepository } from '../../../support/backup-stores.ts';
import { MAIN } from '../../../support/backup-setup.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const OWNER = { mode: 0o600, uid: 1, gid: 1, mtime: 0 };
const pool = createWorkerPool(new URL('../../../support/backup-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

/** A pool that begins tasks in another order than they are given to it, as one may: each pair the other way round. */
function contrary(inner: WorkerPool): WorkerPool {
  let held: (() => void) | undefined;
  return {
    ...inner,
    run: (task, input, options) =>
      new Promise((resolve, reject) => {
        const go = (): void => {
          inner.run(task, input, options).then(resolve, reject);
        };
        if (held === undefined) {
          held = go;
          // Alone it must begin, too.
          setImmediate(() => {
            const waiting = held;
            held = undefined;
            waiting?.();
          });
        } else {
          const first = held;
          held = undefined;
          go();
          first();
        }
      }),
  };
}

describe('units of a base backup', () => {
  it.each([
    ['in their order', pool],
    ['in another order', contrary(pool)],
  ])(
    'are written in order when a pool begins them %s',
    async (_how, used) => {
      const directory = join(newDirectory('units'), 'staged');
      mkdirSync(directory);
      const repository = await openTestRepository('local');
      const id = backupIdAt(new Date(0), 'full');
      const control = createPackControl();
      const entries = await EntryRecord.create(directory, id);
      const rooms = Array.from({ length: 5 }, () => ({
        bytes: new SharedArrayBuffer(ROOM_BYTES),
        text: createTextRoom(),
      }));
      const shelf = new PackShelf({
        ...{ cluster: MAIN, id, repositories: [repository], pool, compressionLevel: 1, directory, packBytes: 30_000 },
        ...{ control, signal: new AbortController().signal, onPacked: () => undefined },
      });
      let files = 0;
      const writer: UnitWriter = new UnitWriter({
        ...{ shelf, entries, pool: used, rooms, directory, compressionLevel: 1, control, keepsPacks: false },
        free: (room) => {
          queue.free(room);
        },
        onFiles: (count) => (files += count),
      });
      const adding: Promise<void>[] = [];
      const hashes = new Map<string, string>();
      const queue = new RoomQueue(rooms);
      const hasher = new HashThread({ rooms: rooms.map(({ bytes }) => bytes) }, () => undefined);
      const received = new ReceivedFiles(join(directory, 'received'));
      const units = new HashedUnits({
        hasher,
        received,
        hand: (unit) => {
          const text = Buffer.from(rooms[unit.room]!.text, 0, unit.textBytes).toString('utf8');
          const { members, part } = JSON.parse(text) as UnitContents;
          for (const file of [...members, ...(part?.end === undefined ? [] : [part.end])]) {
            if ('sha256' in file) hashes.set(file.path, file.sha256);
          }
          adding.push(writer.add(unit));
        },
        failed: (error) => expect.fail(error.message),
      });
      const filler = new RoomFiller({
        takeRoom: () => queue.take(),
        hand: (draft) => {
          units.add(draft);
        },
        increments: false,
      });
      // Of one room and a bit, of many rooms, of none, and small ones between them.
      const sizes = [0, 1, 511, 512, 513, ROOM_BYTES - 512, ROOM_BYTES - 511, ROOM_BYTES, 3 * ROOM_BYTES + 77, 8192];
      const expected = new Map<string, string>();
      for (let round = 0; round < 4; round += 1) {
        for (const size of sizes) {
          const body = Buffer.alloc(size, `${round} ${size}`);
          await filler.beginFile(`base/${round}/${size}`, size, OWNER);
          for (let at = 0; at < size; at += 65_521) await filler.body(body.subarray(at, at + 65_521));
          filler.endFile();
          expected.set(`base/${round}/${size}`, createHash('sha256').update(body).digest('hex'));
        }
        await filler.directory({ path: `base/${round}` }, OWNER);
      }
      await units.end(filler.finish());
      await hasher.end();
      received.close();
      await Promise.all(adding);
      expect(hashes).toEqual(expected);
      expect(files).toBe(4 * sizes.length);
      await writer.settle();
      await entries.abandon();
    },
    120_000,
  );
});
