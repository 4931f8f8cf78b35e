import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BackendMessage, FrameReader } from '../../../src/postgres/replication/frame-reader.ts';
import { isWaldenError } from '../../../src/errors.ts';

const message = fc.record({
  type: fc.constantFrom('d', 'c', 'E', 'Z', 'T', 'D', 'W', 'N'),
  body: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
});

function written({ type, body }: BackendMessage): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** Cuts at these places, each modulo the length; copies, so that what is kept cannot be seen through. */
function cut(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => Buffer.from(bytes.subarray(index === 0 ? 0 : ends[index - 1], end)));
}

describe('messages of a replication connection', () => {
  it('are the same wherever the pieces that come end', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 60 }), (messages, places) => {
        const reader = new FrameReader();
        const found = cut(Buffer.concat(messages.map(written)), places).flatMap((piece) => reader.feed(piece));
        expect(found).toEqual(messages);
      }),
      { numRuns: 500 },
    );
  });

  it('stay the same when the pieces are written over, where bodies are copied', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 60 }), (messages, places) => {
        const reader = new FrameReader();
        reader.copiesBodies = true;
        const found = cut(Buffer.concat(messages.map(written)), places).flatMap((piece) => {
          const ended = reader.feed(piece);
          piece.fill(0xee);
          return ended;
        });
        expect(found).toEqual(messages);
      }),
      { numRuns: 500 },
    );
  });

  it('come one by one as soon as their last byte is there', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), (messages) => {
        const reader = new FrameReader();
        for (const one of messages) {
          const bytes = written(one);
          const found = [...bytes].map((byte) => reader.feed(Buffer.from([byte])));
          expect(found.slice(0, -1).every((list) => list.length === 0)).toBe(true);
          expect(found.at(-1)).toEqual([one]);
        }
      }),
    );
  });

  it.each([0, 3, 0x7fff_ffff])('a length of %i is no message', (length) => {
    const bytes = Buffer.from('d\0\0\0\0rest', 'latin1');
    bytes.writeUInt32BE(length, 1);
    expect(() => new FrameReader().feed(bytes)).toThrow(
      expect.toSatisfy((error: unknown) => isWaldenError(error, 'SERVER_UNREACHABLE')) as Error,
    );
  });
});
