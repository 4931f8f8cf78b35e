import { parentPort, workerData } from 'node:worker_threads';
import { errorToDocument } from '../../errors.ts';
import type { FromHasher, HashSetup, HashWork } from './hash-thread.ts';
import { UnitHash } from './unit-hash.ts';

/** The thread behind hash-thread.ts. */

const { rooms } = workerData as HashSetup;
const hash = new UnitHash();

parentPort?.on('message', (work: HashWork) => {
  parentPort?.postMessage(answer(work));
});

function answer({ room, ranges }: HashWork): FromHasher {
  try {
    const bytes = rooms[room];
    if (bytes === undefined) throw new Error(`there is no room ${room}`);
    return { kind: 'hashed', digests: hash.digests(new Uint8Array(bytes), ranges) };
  } catch (error) {
    return { kind: 'failed', error: errorToDocument(error) };
  }
}
