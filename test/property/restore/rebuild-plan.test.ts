import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, headerBytes, parseIncrementBlocks } from '../../../src/postgres/incremental-file.ts';
import { framesOfHead, framesWith } from '../../../src/restore/chain/frame-copies.ts';
import { type BlockSource, planRebuild } from '../../../src/restore/chain/rebuild-plan.ts';
import { spansOf } from '../../../src/restore/chain/spans.ts';
import { type BackedUp, BlockHistory } from '../../support/block-history.ts';
import { blockSteps, firstBlocks } from '../../support/block-steps.ts';

/** Newest first, and only as far back as the first whole file. */
function sourcesOf(backups: readonly BackedUp[]): readonly (BlockSource & { readonly bytes: Buffer })[] {
  const sources: (BlockSource & { readonly bytes: Buffer })[] = [];
  let limit = Infinity;
  for (const backup of backups.toReversed()) {
    if (backup.kind === 'whole') {
      sources.push({ blocks: Math.floor(backup.bytes.length / BLOCK_BYTES), limit, bytes: backup.bytes });
      break;
    }
    const blocks = parseIncrementBlocks(backup.bytes, backup.bytes.length, 'it');
    const begin = headerBytes(blocks.length);
    sources.push({ blocks, limit, bytes: backup.bytes.subarray(begin) });
    limit = Math.min(limit, backup.truncation);
  }
  return sources;
}

function rebuild(backups: readonly BackedUp[]): Buffer {
  const newest = backups.at(-1);
  if (newest?.kind !== 'increment') throw new Error('the newest one is whole');
  const sources = sourcesOf(backups);
  const plan = planRebuild(newest.truncation, sources);
  // What nobody writes stays wrong.
  const made = Buffer.alloc(plan.bytes, 0xee);
  const written = new Set<number>();
  const put = (at: number, bytes: Uint8Array): void => {
    for (let block = at / BLOCK_BYTES; block < (at + bytes.length) / BLOCK_BYTES; block += 1) {
      expect(written.has(block)).toBe(false);
      written.add(block);
    }
    made.set(bytes, at);
  };
  plan.copies.forEach((copies, index) => {
    for (const { from, to, bytes } of copies) put(to, sources[index]!.bytes.subarray(from, from + bytes));
  });
  for (const { to, bytes } of plan.zeros) put(to, Buffer.alloc(bytes));
  return made;
}

describe('planRebuild', () => {
  it('gives what the file was, whatever happened to it through a chain of backups', () => {
    const recipe = fc.record({
      first: firstBlocks,
      backups: fc.array(fc.record({ steps: blockSteps, whole: fc.constantFrom(false, false, false, true) }), {
        minLength: 1,
        maxLength: 6,
      }),
    });
    fc.assert(
      fc.property(recipe, ({ first, backups }) => {
        const history = new BlockHistory(first);
        const taken = [history.whole()];
        for (const [index, { steps, whole }] of backups.entries()) {
          for (const step of steps) history.apply(step);
          taken.push(whole && index < backups.length - 1 ? history.whole() : history.increment());
        }
        expect(rebuild(taken).equals(history.bytes())).toBe(true);
      }),
      { numRuns: 700 },
    );
  });

  it('does not bring back what an increment in the middle has cut off', () => {
    const history = new BlockHistory([1, 2, 3, 4, 5, 6]);
    const backups = [history.whole()];
    history.apply({ kind: 'truncate', blocks: 2 });
    backups.push(history.increment());
    history.apply({ kind: 'extend', blocks: 3 });
    history.apply({ kind: 'write', block: 5, content: 9 });
    backups.push({ ...history.increment(), truncation: 6 } as BackedUp);
    expect(rebuild(backups).equals(history.bytes())).toBe(true);
  });
});

describe('framesWith', () => {
  it('finds each byte to copy in one frame, and no frame without any', () => {
    const recipe = fc.record({
      skip: fc.constantFrom(512, 1536),
      frames: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 12 }),
      gaps: fc.array(fc.record({ skip: fc.nat({ max: 40 }), bytes: fc.integer({ min: 1, max: 60 }) }), {
        maxLength: 8,
      }),
    });
    fc.assert(
      fc.property(recipe, ({ skip, frames, gaps }) => {
        const plain = Buffer.from(
          Array.from({ length: skip + frames.reduce((a, b) => a + b, 0) }, (_, at) => at % 251),
        );
        // The first frame has the header, too.
        const lengths = frames.map((bytes, index) => bytes + (index === 0 ? skip : 0));
        const stored = lengths.map((bytes) => [10, bytes] as const);
        const size = plain.length - skip;
        const copies: { from: number; to: number; bytes: number }[] = [];
        let at = 0;
        for (const gap of gaps) {
          const from = at + gap.skip;
          const bytes = Math.min(gap.bytes, size - from);
          if (bytes <= 0) break;
          copies.push({ from, to: from * 3, bytes });
          at = from + bytes;
        }
        const target = Buffer.alloc(3 * size + 1, 255);
        const expected = Buffer.from(target);
        for (const { from, to, bytes } of copies) plain.copy(expected, to, skip + from, skip + from + bytes);
        for (const frame of framesWith({ offset: 7, skip, frames: stored }, copies)) {
          const index = (frame.offset - 7) / 10;
          const begin = lengths.slice(0, index).reduce((a, b) => a + b, 0);
          expect(frame.plainBytes).toBe(lengths[index]);
          expect(frame.copies.length).toBeGreaterThan(0);
          for (const { from, to, bytes } of frame.copies) {
            expect(from + bytes).toBeLessThanOrEqual(frame.plainBytes);
            plain.copy(target, to, begin + from, begin + from + bytes);
          }
        }
        expect(target.equals(expected)).toBe(true);
      }),
    );
  });

  it('takes as many frames for the head of a file as it needs', () => {
    const file = {
      skip: 512,
      frames: [
        [1, 600],
        [2, 100],
        [3, 100],
      ] as const,
    };
    expect(framesOfHead(file, 88)).toEqual([[1, 600]]);
    expect(framesOfHead(file, 89)).toEqual([
      [1, 600],
      [2, 100],
    ]);
    expect(framesOfHead(file, 10_000)).toHaveLength(3);
  });
});

describe('spansOf', () => {
  it('holds each part once, and no gap or length beyond its limits', () => {
    const limits = { storedBytes: 100, parts: 4, gapBytes: 10 };
    const part = fc.record({
      pack: fc.integer({ min: 1, max: 3 }),
      gap: fc.nat({ max: 30 }),
      storedBytes: fc.nat({ max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (recipe) => {
        const ends = new Map<number, number>();
        const parts = recipe.map(({ pack, gap, storedBytes }, id) => {
          const offset = (ends.get(pack) ?? 0) + gap;
          ends.set(pack, offset + storedBytes);
          return { pack, offset, storedBytes, id };
        });
        const spans = spansOf(parts.toReversed(), limits);
        expect(spans.flatMap((span) => span.parts.map(({ id }) => id)).sort((a, b) => a - b)).toEqual(
          parts.map(({ id }) => id),
        );
        for (const span of spans) {
          let position = span.offset;
          for (const { pack, offset, storedBytes, before } of span.parts) {
            expect(before).toBeLessThanOrEqual(10);
            expect([pack, offset]).toEqual([span.pack, position + before]);
            position += before + storedBytes;
          }
          expect(position - span.offset).toBe(span.storedBytes);
          expect(span.parts.length === 1 || (span.storedBytes <= 100 && span.parts.length <= 4)).toBe(true);
        }
      }),
    );
  });
});
