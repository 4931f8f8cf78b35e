import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { type SegmentExpectation, SegmentWalker } from '../../../src/postgres/segment-walker.ts';
import type { WalIndexFound } from '../../../src/postgres/wal-index-builder.ts';
import { commit, commitPrepared, filler, PAGE, restorePoint, WalBuilder } from '../../support/wal-builder.ts';

const SEGMENT = 1 << 20;
const EPOCH = 946_684_800_000_000;

type Outcome = WalIndexFound | { readonly code: string; readonly message: string };

/** What the walk says of these bytes; `cuts` are the lengths of the chunks, over and over. */
function outcome(bytes: Uint8Array, expected: SegmentExpectation, cuts: readonly number[] = [SEGMENT]): Outcome {
  try {
    const walker = new SegmentWalker(expected);
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const length = cuts[turn % cuts.length]!;
      walker.feed(bytes.subarray(at, at + length));
      at += length;
    }
    return walker.finish();
  } catch (error) {
    if (isWaldenError(error)) return { code: error.code, message: error.message };
    throw error;
  }
}

type Step =
  | { readonly kind: 'commit' | 'abort' | 'prepared'; readonly xid: number; readonly time: number }
  | { readonly kind: 'point'; readonly time: number }
  | { readonly kind: 'filler'; readonly bytes: number };

const xid = fc.integer({ min: 3, max: 1_000_000 });
const time = fc.integer({ min: 0, max: 1_000_000_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('commit' as const, 'abort' as const, 'prepared' as const), xid, time }),
  fc.record({ kind: fc.constant('point' as const), time }),
  fc.record({ kind: fc.constant('filler' as const), bytes: fc.integer({ min: 0, max: 400 }) }),
  fc.record({ kind: fc.constant('filler' as const), bytes: fc.integer({ min: 0, max: 60_000 }) }),
);
const wal = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 120 }),
  continuation: fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: undefined }),
  majorVersion: fc.integer({ min: 13, max: 18 }),
});

interface Entry {
  readonly step: Step;
  readonly segment: number;
  readonly end: bigint;
}

function record(one: Step) {
  switch (one.kind) {
    case 'commit':
      return commit(one.xid, BigInt(one.time));
    case 'abort':
      return commit(one.xid, BigInt(one.time), true);
    case 'prepared':
      return commitPrepared(one.xid, BigInt(one.time), { subxacts: one.xid % 5 });
    case 'point':
      return restorePoint(`at ${one.time}`, BigInt(one.time));
    case 'filler':
      return filler(one.bytes);
  }
}

/** Writes the steps; the entries are those that stand in one segment from beginning to end. */
function build({
  steps,
  ...options
}: {
  steps: readonly Step[];
  continuation?: number | undefined;
  majorVersion: number;
}) {
  const { continuation, majorVersion } = options;
  const builder = new WalBuilder({ majorVersion, ...(continuation === undefined ? {} : { continuation }) });
  const entries: Entry[] = [];
  for (const one of steps) {
    const begin = Number(builder.position - builder.start);
    const end = builder.add(record(one));
    const segment = Math.floor(begin / SEGMENT);
    if (Number(end - 1n - builder.start) < (segment + 1) * SEGMENT) entries.push({ step: one, segment, end });
  }
  const end = Number(builder.switch() - builder.start);
  return { builder, entries, end };
}

function indexOf(entries: readonly Entry[]): WalIndexFound {
  const ends = entries.flatMap(({ step: one }) => (one.kind === 'point' || one.kind === 'filler' ? [] : [one]));
  const commits = ends.filter(({ kind }) => kind !== 'abort').map((one) => EPOCH + one.time);
  const xids = ends.map((one) => one.xid);
  const least = (values: readonly number[]): number | undefined =>
    values.length === 0 ? undefined : Math.min(...values);
  const most = (values: readonly number[]): number | undefined =>
    values.length === 0 ? undefined : Math.max(...values);
  return {
    firstCommit: least(commits) as WalIndexFound['firstCommit'],
    lastCommit: most(commits) as WalIndexFound['lastCommit'],
    commits: commits.length,
    firstXid: least(xids),
    lastXid: most(xids),
    restorePoints: entries.flatMap(({ step: one, end }) =>
      one.kind === 'point' ? [{ name: `at ${one.time}`, lsn: end, time: EPOCH + one.time }] : [],
    ) as unknown as WalIndexFound['restorePoints'],
    restorePointsOmitted: 0,
  };
}

describe('SegmentWalker', () => {
  it('finds in each segment what was written into it', () => {
    fc.assert(
      fc.property(wal, (recipe) => {
        const { builder, entries } = build(recipe);
        builder.segments.forEach((bytes, index) => {
          const own = entries.filter(({ segment }) => segment === index);
          expect(outcome(bytes, builder.expectation(index))).toEqual(indexOf(own));
        });
      }),
      { numRuns: 60 },
    );
  });

  it('says the same however the bytes are cut', () => {
    const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.constant(PAGE), fc.constant(100_000)), {
      minLength: 1,
      maxLength: 5,
    });
    const damage = fc.option(fc.nat(SEGMENT - 1), { nil: undefined });
    fc.assert(
      fc.property(wal, cuts, damage, fc.constantFrom('segment', 'partial'), (recipe, lengths, damaged, kind) => {
        fc.pre(lengths.some((length) => length >= 500));
        const { builder } = build(recipe);
        const bytes = builder.segments[0]!;
        if (damaged !== undefined) bytes.writeUInt8(bytes.readUInt8(damaged) ^ 0x10, damaged);
        const expected = builder.expectation(0, kind);
        expect(outcome(bytes, expected, lengths)).toEqual(outcome(bytes, expected));
      }),
      { numRuns: 60 },
    );
  });

  it('finds every flipped bit of a record', () => {
    // Records whose length is a multiple of 8, so that no byte between them is free.
    const sizes = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(7), (words, place, bit) => {
        const steps = words.map((count) => ({ kind: 'filler', bytes: count * 8 }) as const);
        const { builder, end } = build({ steps, majorVersion: 15 });
        const bytes = builder.segments[0]!;
        const offset = place % Math.min(end, SEGMENT);
        fc.pre(offset % PAGE >= (offset < PAGE ? 40 : 24));
        // The last record of a segment that goes on has its checksum out of sight.
        fc.pre(builder.segments.length === 1);
        bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << bit), offset);
        expect(outcome(bytes, builder.expectation())).toMatchObject({ code: 'FORMAT_INVALID' });
      }),
      { numRuns: 150 },
    );
  });

  it('answers or refuses whatever it is fed', () => {
    const { builder } = build({ steps: [{ kind: 'filler', bytes: 300_000 }], majorVersion: 17 });
    const patches = fc.array(fc.tuple(fc.nat(320_000), fc.uint8Array({ minLength: 1, maxLength: 64 })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(patches, fc.constantFrom('segment', 'partial'), (changes, kind) => {
        const bytes = Buffer.from(builder.segments[0]!);
        for (const [offset, patch] of changes) bytes.set(patch, offset);
        outcome(bytes, builder.expectation(0, kind));
      }),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000 }), fc.constantFrom('segment', 'partial'), (bytes, kind) => {
        outcome(bytes, builder.expectation(0, kind));
      }),
    );
  });
});
