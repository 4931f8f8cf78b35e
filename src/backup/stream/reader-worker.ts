import { parentPort, workerData } from 'node:worker_threads';
import { errorToDocument, WaldenError } from '../../errors.ts';
import { HashThread } from './hash-thread.ts';
import { readBaseBackup } from './read-base-backup.ts';
import type { FromReader, ReaderSetup, ToReader } from './reader-messages.ts';
import { RoomQueue } from './room-queue.ts';

/** The thread behind reader-thread.ts: one base backup, and its end. */

const setup = workerData as ReaderSetup;
const stopping = new AbortController();
const tell = (message: FromReader): void => {
  parentPort?.postMessage(message);
};
const rooms = new RoomQueue(setup.rooms);
const stop = (reason: WaldenError): void => {
  stopping.abort(reason);
  rooms.fail(reason);
};
const hasher = new HashThread({ rooms: setup.rooms.map(({ bytes }) => bytes) }, stop);

parentPort?.on('message', (message: ToReader) => {
  if (message.kind === 'free') {
    rooms.free(message.room);
    return;
  }
  stop(new WaldenError('INTERRUPTED', 'the backup was interrupted'));
});

readBaseBackup({ setup, rooms, hasher, tell, signal: stopping.signal })
  .then(
    (outcome) => {
      tell({ kind: 'ended', outcome });
    },
    (error: unknown) => {
      tell({ kind: 'failed', error: errorToDocument(error) });
    },
  )
  .finally(async () => {
    await hasher.end();
    // Else the port would keep the thread.
    parentPort?.close();
  });
