import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lsn, type TimelineId, timelineId } from '../../../src/postgres/lsn.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import type { Ancestry } from '../../../src/wal/path-coverage.ts';
import { judgeRun } from '../../../src/wal/repair/node-history.ts';

/**
 * Nodes against a tree of timelines in which every byte is known by who wrote it: what a node may give of a segment is what
 * has the same bytes there as in the archive. Positions are in quarters of a segment.
 */
const SIZE = segmentBytes(1 << 20);
const QUARTER = BigInt(SIZE / 4);

interface Step {
  readonly timeline: number;
  readonly at: number;
}

interface World {
  /** The way to each branch, by its number: a branch is a promotion somewhere, and two may give themselves the same timeline. */
  readonly branches: readonly {
    readonly timeline: number;
    readonly ancestors: readonly (Step & { readonly branch: number })[];
  }[];
  readonly ours: number;
  readonly node: number;
  readonly nodeEnd: number;
  readonly run: { readonly step: number; readonly first: number; readonly length: number };
}

const world: fc.Arbitrary<World> = fc
  .record({
    forks: fc.array(fc.record({ parent: fc.nat(), after: fc.nat(12), skip: fc.nat(1) }), { maxLength: 5 }),
    ours: fc.nat(),
    node: fc.nat(),
    length: fc.nat(20),
    run: fc.record({ step: fc.nat(), first: fc.nat(12), length: fc.integer({ min: 1, max: 4 }) }),
  })
  .map(({ forks, ours, node, length, run }) => {
    const branches: World['branches'][number][] = [{ timeline: 1, ancestors: [] }];
    for (const { parent, after, skip } of forks) {
      const branch = parent % branches.length;
      const from = branches[branch]!;
      const at = (from.ancestors.at(-1)?.at ?? 0) + after;
      branches.push({
        timeline: from.timeline + 1 + skip,
        ancestors: [...from.ancestors, { timeline: from.timeline, at, branch }],
      });
    }
    const begin = branches[node % branches.length]!.ancestors.at(-1)?.at ?? 0;
    return {
      branches,
      ours: ours % branches.length,
      node: node % branches.length,
      nodeEnd: begin + length,
      run,
    };
  });

/** Which branch has written the byte before this quarter's end, on the way to a branch; undefined: behind its end. */
function writer({ branches }: World, branch: number, quarter: number): number {
  return branches[branch]!.ancestors.find(({ at }) => quarter < at)?.branch ?? branch;
}

function ancestryOf({ branches }: World, branch: number): Ancestry {
  const { timeline, ancestors } = branches[branch]!;
  return {
    timeline: timelineId(timeline),
    ancestors: ancestors.map((one) => ({
      timeline: timelineId(one.timeline),
      switchLsn: lsn(BigInt(one.at) * QUARTER),
    })),
  };
}

describe('judgeRun', () => {
  it('lets a node give exactly the segments of which it has the bytes of the archive on that timeline', () => {
    fc.assert(
      fc.property(world, (one) => {
        const way = [...one.branches[one.ours]!.ancestors.map(({ branch }) => branch), one.ours];
        const wanted = way[one.run.step % way.length]!;
        const timeline: TimelineId = timelineId(one.branches[wanted]!.timeline);
        const begin = Math.floor((one.branches[wanted]!.ancestors.at(-1)?.at ?? 0) / 4);
        const [first, last] = [begin + one.run.first, begin + one.run.first + one.run.length - 1];
        const end = lsn(BigInt(one.nodeEnd) * QUARTER);
        const node = { ancestry: ancestryOf(one, one.node), end };
        const run = { timeline, first: BigInt(first), last: BigInt(last) };
        const { may, refused } = judgeRun(run, node, ancestryOf(one, wanted), SIZE);
        for (let segment = first; segment <= last; segment += 1) {
          const quarters = [0, 1, 2, 3].map((quarter) => segment * 4 + quarter);
          const isSame = quarters.every(
            (quarter) => quarter < one.nodeEnd && writer(one, one.node, quarter) === writer(one, wanted, quarter),
          );
          // A node that never was on that timeline has no file of it, though older bytes of the segment may be the same.
          const wasThere =
            one.node === wanted || one.branches[one.node]!.ancestors.some(({ branch }) => branch === wanted);
          const given = may !== undefined && may.first <= BigInt(segment) && BigInt(segment) <= may.last;
          const denied =
            refused !== undefined && refused.run.first <= BigInt(segment) && BigInt(segment) <= refused.run.last;
          // Two branches of one number and one place cannot be told apart by their histories.
          const twin = isTwin(one, wanted);
          if (!twin) expect([segment, given]).toEqual([segment, isSame && wasThere]);
          expect(given).toBe(!denied);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** Whether the node has passed another branch that says the same of itself. */
function isTwin(one: World, wanted: number): boolean {
  const passed = [...one.branches[one.node]!.ancestors.map(({ branch }) => branch), one.node];
  const text = (branch: number): string =>
    JSON.stringify([
      one.branches[branch]!.timeline,
      one.branches[branch]!.ancestors.map(({ timeline, at }) => [timeline, at]),
    ]);
  return passed.some((branch) => branch !== wanted && text(branch) === text(wanted));
}
