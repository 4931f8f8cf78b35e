import { parentPort, workerData } from 'node:worker_threads';
import type { HashSetup, HashWork } from './hash-thread.ts';
import { UnitHash } from './unit-hash.ts';

/** The thread behind hash-thread.ts. What it throws ends it, and is told as its error. */

const { rooms } = workerData as HashSetup;
const hash = new UnitHash();

parentPort?.on('message', ({ room, ranges }: HashWork) => {
  const bytes = rooms[room];
  if (bytes === undefined) throw new Error(`there is no room ${room}`);
  parentPort?.postMessage(hash.digests(new Uint8Array(bytes), ranges));
});
