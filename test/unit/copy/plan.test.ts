import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId, BackupRecord, RepositoryName } from '../../../catalog/catalog.ts';
import { compareListings } from '../../../src/repository/compare-listings.ts';
import { fillScope } from '../../../src/copy/fill-scope.ts';
import { missingSegments } from '../../../src/copy/missing-wal.ts';
import { countSegments } from '../../../src/wal/segment-runs.ts';
import type { Lsn, TimelineId } from '../../../src/postgres/lsn.ts';
import type { ObjectInfo, ObjectKey } from '../../../storage-drivers/driver.ts';
import { FACTS, MAIN, micros } from '../../support/catalog-rows.ts';

const [A, B, C] = ['a', 'b', 'c'] as RepositoryName[] as [RepositoryName, RepositoryName, RepositoryName];
const SEGMENT = BigInt(FACTS.identity.segmentBytes);

/** Runs of the segments that are in the set, as a catalog gives them. */
function rangesOf(segments: ReadonlySet<string>): { timeline: TimelineId; first: bigint; last: bigint }[] {
  const ranges: { timeline: TimelineId; first: bigint; last: bigint }[] = [];
  for (const timeline of [1, 2] as TimelineId[]) {
    for (let number = 0n; number < 30n; number += 1n) {
      if (!segments.has(`${timeline}/${number}`)) continue;
      const last = ranges.at(-1);
      if (last?.timeline === timeline && last.last === number - 1n) last.last = number;
      else ranges.push({ timeline, first: number, last: number });
    }
  }
  return ranges;
}

describe('missingSegments', () => {
  const segments = fc.uniqueArray(
    fc.tuple(fc.constantFrom(1, 2), fc.integer({ min: 0, max: 29 })).map(([t, n]) => `${t}/${n}`),
  );

  it('names exactly what one holds and the other lacks, from the first on', () => {
    fc.assert(
      fc.property(segments, segments, fc.integer({ min: 0, max: 30 }), (here, there, from) => {
        const runs = missingSegments(rangesOf(new Set(here)), rangesOf(new Set(there)), BigInt(from));
        const named = runs.flatMap(({ timeline, first, last }) =>
          Array.from({ length: Number(last - first) + 1 }, (_, index) => `${timeline}/${Number(first) + index}`),
        );
        const wanted = here.filter((one) => !there.includes(one) && Number(one.slice(2)) >= from);
        expect(named.sort()).toEqual(wanted.sort());
        expect(countSegments(runs)).toBe(wanted.length);
      }),
    );
  });
});

describe('fillScope', () => {
  const backup = (
    repository: RepositoryName,
    id: string,
    segment: bigint,
    state: BackupRecord['state'] = 'complete',
  ) => ({
    ...{ repository, cluster: MAIN, id: id as BackupId, label: '', startedAt: micros(0), state, error: undefined },
    facts: state === 'complete' ? { ...FACTS, startLsn: (segment * SEGMENT + 40n) as Lsn } : undefined,
  });

  it('begins with the newest backup of the others where there is none yet', () => {
    const rows = [backup(A, '1', 5n), backup(A, '2', 9n), backup(A, '3', 12n, 'failed')];
    const { backups, from } = fillScope(rows, C, [A, B]);
    expect(backups.map(({ id }) => id)).toEqual(['2']);
    expect(from).toBe(9n);
  });

  it('goes on from the oldest that it holds, and takes each of the others once', () => {
    const rows = [
      ...[backup(A, '1', 5n), backup(A, '2', 9n), backup(A, '3', 12n), backup(A, '4', 14n)],
      ...[backup(B, '3', 12n), backup(C, '2', 9n)],
    ];
    const { backups, from } = fillScope(rows, C, [B, A]);
    expect(backups.map(({ id, repository }) => `${id} of ${repository}`)).toEqual(['3 of b', '4 of a']);
    expect(from).toBe(9n);
  });

  it('takes what a backup builds on, however old, and before it', () => {
    const on = (parent: string, row: ReturnType<typeof backup>): ReturnType<typeof backup> => ({
      ...row,
      ...(row.facts && { facts: { ...row.facts, parent: parent as BackupId } }),
    });
    const rows = [
      ...[backup(A, '1', 3n), backup(A, '2', 5n), on('2', backup(A, '3', 9n)), on('3', backup(A, '4', 12n))],
    ];
    const { backups, from } = fillScope(rows, C, [A]);
    expect(backups.map(({ id }) => id)).toEqual(['2', '3', '4']);
    expect(from).toBe(5n);
    // What is there already is not brought again.
    expect(fillScope([...rows, backup(C, '2', 5n)], C, [A]).backups.map(({ id }) => id)).toEqual(['3', '4']);
    // A clock that was set back gives a child an earlier id.
    const odd = [backup(A, '2', 5n), on('2', backup(A, '1', 9n)), on('1', backup(A, '3', 12n))];
    expect(fillScope(odd, C, [A]).backups.map(({ id }) => id)).toEqual(['2', '1', '3']);
  });

  it('reaches back where a later backup begins earlier, on another timeline', () => {
    expect(fillScope([backup(C, '1', 20n), backup(A, '2', 11n)], C, [A]).from).toBe(11n);
  });

  it('wants nothing while nobody has a backup', () => {
    expect(fillScope([backup(A, '1', 5n, 'running')], C, [A])).toEqual({ backups: [], from: undefined });
  });
});

describe('compareListings', () => {
  const keys = fc.uniqueArray(fc.stringMatching(/^[a-c/]{1,4}$/));

  it('finds each object of one listing beside its like in the other', async () => {
    await fc.assert(
      fc.asyncProperty(keys, keys, async (here, there) => {
        const found: string[] = [];
        for await (const { info, there: other } of compareListings(listing(here), listing(there))) {
          found.push(`${info.key} ${other?.key ?? ''}`);
        }
        expect(found).toEqual([...here].sort().map((key) => `${key} ${there.includes(key) ? key : ''}`));
      }),
    );
  });

  async function* listing(names: readonly string[]): AsyncGenerator<ObjectInfo> {
    await Promise.resolve();
    for (const key of [...names].sort()) yield { key: key as ObjectKey, size: 1 };
  }
});
