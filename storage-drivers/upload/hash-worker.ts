import { parentPort } from 'node:worker_threads';
import { freeMoments, madeForAMoment } from '../../src/platform/collector.ts';
import { type Digests, RunningDigests, type WantedDigests } from './digests.ts';

/** The thread behind hash-thread.ts: bodies by number, each with its hashes so far. */

/** `begin` and `forget` have no answer. */
export type HashRequest =
  | { readonly kind: 'begin'; readonly body: number; readonly wanted: WantedDigests }
  | {
      readonly kind: 'add';
      readonly body: number;
      readonly memory: SharedArrayBuffer;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: 'finish'; readonly body: number }
  | { readonly kind: 'forget'; readonly body: number };

const bodies = new Map<number, RunningDigests>();

parentPort?.on('message', (request: HashRequest) => {
  const digests = answer(request);
  if (digests !== undefined) parentPort?.postMessage(digests);
});

function answer(request: HashRequest): Digests | undefined {
  switch (request.kind) {
    case 'begin':
      bodies.set(request.body, new RunningDigests(request.wanted));
      return undefined;
    case 'add':
      // Memory that nobody else has any more stays as long as a message with it was not collected, and there is hardly any
      // garbage here that would make V8 collect.
      madeForAMoment(request.length);
      return known(request.body).add(new Uint8Array(request.memory, request.offset, request.length));
    case 'finish':
      return known(request.body).finish();
    case 'forget':
      bodies.delete(request.body);
      freeMoments();
      return undefined;
  }
}

/** What is thrown here ends the thread, and fails every upload that waits for it. */
function known(number: number): RunningDigests {
  const body = bodies.get(number);
  if (body === undefined) throw new Error(`nobody began body ${number}`);
  return body;
}
