import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import type { VerifiedRow } from '../../../catalog/proof.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import type { TimelineId } from '../../../src/postgres/lsn.ts';
import type { Micros } from '../../../src/postgres/timestamp.ts';
import { bytesOf, type HeldStretch, planVerification, rowName } from '../../../src/verify/plan-verification.ts';

const NEAR = 'near' as RepositoryName;
const MAIN = 'main' as ClusterName;

/** Stretches of WAL with holes between them, and the objects of some backups. */
const held: fc.Arbitrary<readonly HeldStretch[]> = fc
  .tuple(
    fc.array(fc.record({ gap: fc.integer({ min: 1, max: 5 }), count: fc.integer({ min: 1, max: 300 }) }), {
      maxLength: 4,
    }),
    fc.array(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 12 }), { maxLength: 4 }),
    fc.integer({ min: 1, max: 500 }),
  )
  .map(([runs, backups, bytesEach]) => {
    let next = 0n;
    const wal = runs.map(({ gap, count }): HeldStretch => {
      const first = next + BigInt(gap);
      next = first + BigInt(count);
      return { row: { kind: 'wal', timeline: 1 as TimelineId }, first, last: next - 1n, bytesEach };
    });
    const packs = backups.flatMap((sizes, index) => {
      const row: VerifiedRow = { kind: 'backup', backup: `2026112${index}T021500F` as BackupId };
      return sizes.map((bytes, at): HeldStretch => ({ row, first: BigInt(at), last: BigInt(at), bytesEach: bytes }));
    });
    return [...packs, ...wal];
  });

function objectsOf(stretches: readonly HeldStretch[]): readonly string[] {
  return stretches.flatMap(({ row, first, last }) =>
    Array.from({ length: Number(last - first) + 1 }, (_, index) => `${rowName(row)} ${first + BigInt(index)}`),
  );
}

describe('planning a verification', () => {
  it('covers everything in as many rounds as the budget goes into the whole, and each object once before any twice', async () => {
    await fc.assert(
      fc.asyncProperty(held, fc.integer({ min: 1, max: 40 }), async (stretches, rounds) => {
        const catalog = SqliteCatalog.open(':memory:');
        const total = stretches.reduce((sum, stretch) => sum + bytesOf(stretch), 0);
        const all = new Set(objectsOf(stretches));
        const seen = new Set<string>();
        for (let round = 1; round <= rounds + 1; round += 1) {
          const spans = await catalog.proof.verifiedSpans(NEAR, MAIN);
          const planned = planVerification(stretches, spans, total / rounds);
          const objects = objectsOf(planned);
          expect(new Set(objects).size).toBe(objects.length);
          // Nothing a second time while something was never looked at.
          const again = objects.filter((object) => seen.has(object));
          if (again.length > 0) expect([...all].filter((one) => !seen.has(one) && !objects.includes(one))).toEqual([]);
          for (const object of objects) seen.add(object);
          for (const { row, first, last } of planned) {
            await catalog.proof.recordVerified(NEAR, MAIN, { row, first, last, verifiedAt: round as Micros });
          }
          if (round === rounds) expect(seen).toEqual(all);
        }
        await catalog.close();
      }),
      { numRuns: 60 },
    );
  });

  it('reads everything without a limit, and at least one object with the smallest', () => {
    fc.assert(
      fc.property(held, (stretches) => {
        expect(planVerification(stretches, [], Infinity)).toEqual(stretches);
        expect(objectsOf(planVerification(stretches, [], 1)).length).toBe(stretches.length === 0 ? 0 : 1);
      }),
    );
  });
});
