import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReadMemory } from '../../../../src/postgres/replication/read-memory.ts';

/** Reads as Node's sockets do: where the next read goes is asked as soon as the one before is told. */
class Reading {
  readonly memory = new ReadMemory();
  #place = this.memory.next();

  /** So many bytes, each of them `mark`. */
  read(bytes: number, mark: number): Buffer {
    const length = Math.min(bytes, this.#place.length);
    this.#place.fill(mark, 0, length);
    const read = this.memory.took(length);
    this.#place = this.memory.next();
    return read;
  }
}

function isAll(bytes: Buffer, mark: number): boolean {
  return bytes.equals(Buffer.alloc(bytes.length, mark));
}

const turnsBetween = fc.constantFrom(0, 0, 0, 1, 1, 2, 3);
const sizes = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 60 });

describe('ReadMemory', () => {
  it('writes over nothing that was read', () => {
    fc.assert(
      fc.property(sizes, (lengths) => {
        const reading = new Reading();
        const pieces = lengths.map((length, index) => reading.read(length, index));
        // What turns is nothing here.
        reading.memory.turn();
        reading.read(1000, 255);
        for (const [index, piece] of pieces.entries()) expect(isAll(piece, index)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('shares memory among small reads', () => {
    const reading = new Reading();
    const pieces = Array.from({ length: 500 }, (_, index) => reading.read(200, index));
    expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(1);
  });

  it('reuses its areas, and writes over nothing that is in use', () => {
    fc.assert(
      fc.property(sizes, fc.array(turnsBetween, { minLength: 60, maxLength: 60 }), (lengths, turns) => {
        const reading = new Reading();
        reading.memory.reuse(1024 * 1024);
        /** Read since the last turn, and before it. */
        let now: { piece: Buffer; mark: number }[] = [];
        let before: { piece: Buffer; mark: number }[] = [];
        for (const [index, length] of lengths.entries()) {
          now.push({ piece: reading.read(length, index), mark: index });
          for (const { piece, mark } of [...before, ...now]) expect(isAll(piece, mark)).toBe(true);
          // The user may be done with it, and with nothing, before more comes.
          for (let turn = 0; turn < (turns[index] ?? 0); turn += 1) {
            reading.memory.turn();
            before = now;
            now = [];
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('makes nothing for each read while it reuses', () => {
    const reading = new Reading();
    reading.memory.reuse(1024 * 1024);
    const used = new Set<ArrayBufferLike>();
    for (let round = 0; round < 100; round += 1) {
      for (let i = 0; i < 4; i += 1) used.add(reading.read(200_000, i).buffer);
      reading.memory.turn();
    }
    // The first read was asked for before.
    expect(used.size).toBe(4);
  });

  it('takes other memory for what has no room any more', () => {
    const reading = new Reading();
    reading.memory.reuse(300_000);
    const pieces = Array.from({ length: 10 }, (_, index) => reading.read(200_000, index));
    for (const [index, piece] of pieces.entries()) expect(isAll(piece, index)).toBe(true);
  });

  it('leaves what it had when it reuses no longer', () => {
    const reading = new Reading();
    reading.memory.reuse(300_000);
    const piece = reading.read(100_000, 7);
    reading.memory.reuse(undefined);
    reading.memory.turn();
    for (let i = 0; i < 20; i += 1) reading.read(100_000, 9);
    expect(isAll(piece, 7)).toBe(true);
  });
});
