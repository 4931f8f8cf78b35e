import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ReadMemory, socketReadingInto } from '../../../../src/postgres/replication/read-memory.ts';
import { Wire } from '../../../../src/postgres/replication/wire.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const TIMEOUT_MS = 30_000;
const MESSAGES = 2_000;
const BODY_BYTES = 33_000;

/** CopyData whose bytes are all the same, other ones in each. */
function copyData(index: number): Buffer {
  const message = Buffer.alloc(5 + BODY_BYTES, index % 251);
  message.write('d', 'latin1');
  message.writeUInt32BE(BODY_BYTES + 4, 1);
  return message;
}

describe('a wire', () => {
  let server: Server;
  let peer: Socket;
  let wire: Wire;

  beforeEach(async () => {
    const path = join(newDirectory('wire'), 'socket');
    server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const memory = new ReadMemory();
    const socket = socketReadingInto(memory);
    const connected = once(server, 'connection') as Promise<[Socket]>;
    socket.connect(path);
    [peer] = await connected;
    wire = new Wire(socket, memory);
  });
  afterEach(async () => {
    peer.destroy();
    await wire.close();
    await new Promise((resolve) => server.close(resolve));
  });

  async function sendAll(): Promise<void> {
    for (let index = 0; index < MESSAGES; index += 1) {
      if (!peer.write(copyData(index))) await once(peer, 'drain');
    }
    peer.end();
  }

  it('gives every byte in its order, to a reader that is slower than the server, from memory that is used again', async () => {
    wire.piecesOfCopyData = true;
    wire.reusesMemory = true;
    const sent = sendAll();
    const memories = new Set<ArrayBufferLike>();
    let bytes = 0;
    while (bytes < MESSAGES * BODY_BYTES) {
      const messages = await wire.receiveAll(TIMEOUT_MS);
      // What comes meanwhile must not stand where this does.
      for (let i = 0; i < 3; i += 1) await setImmediate();
      for (const { body } of messages) {
        memories.add(body.buffer);
        for (let at = 0; at < body.length;) {
          const message = Math.floor(bytes / BODY_BYTES);
          const part = body.subarray(at, at + BODY_BYTES - (bytes % BODY_BYTES));
          expect(part.equals(Buffer.alloc(part.length, message % 251))).toBe(true);
          at += part.length;
          bytes += part.length;
        }
      }
    }
    await sent;
    // Three in turn, and that of the first read, which was asked for before.
    expect(memories.size).toBe(4);
  });

  it('gives messages that may be kept, one by one', async () => {
    const sent = sendAll();
    const bodies: Buffer[] = [];
    for (let index = 0; index < MESSAGES; index += 1) {
      const message = await wire.receive(TIMEOUT_MS);
      if (message !== undefined) bodies.push(message.body);
    }
    await sent;
    expect(bodies).toHaveLength(MESSAGES);
    for (const [index, body] of bodies.entries()) expect(body.equals(Buffer.alloc(BODY_BYTES, index % 251))).toBe(true);
  });

  it('tells who waits that the server is gone, after what had come', async () => {
    peer.end(copyData(1));
    expect(await wire.receive(TIMEOUT_MS)).toMatchObject({ type: 'd' });
    await expect(wire.receive(TIMEOUT_MS)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });
});
