import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId, ClusterName, RepositoryName, WalRange } from '../../../catalog/catalog.ts';
import { lsn, systemIdentifier, type TimelineId, timelineId } from '../../../src/postgres/lsn.ts';
import { type Micros, micros } from '../../../src/postgres/timestamp.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import type { ArchiveView, CompleteBackup } from '../../../src/wal/archive-view.ts';
import { findGaps, findGapsInside, gapsBehindBackup } from '../../../src/wal/gaps.ts';
import { recoveryWindows } from '../../../src/wal/windows.ts';

/**
 * Gaps and windows against counting: every segment of every path is looked at, one after the other. Positions are in
 * quarters of a segment, so that switch points and backups fall on boundaries as well as between them.
 */
const SIZE = 1 << 20;
const QUARTER = SIZE / 4;

interface Ancestor {
  readonly timeline: number;
  readonly at: number;
}
interface Model {
  /** By timeline: where it and its ancestors were left, oldest first. */
  readonly histories: ReadonlyMap<number, readonly Ancestor[]>;
  readonly stored: ReadonlySet<string>;
  readonly backups: readonly { readonly timeline: number; readonly start: number; readonly stop: number }[];
}

const model: fc.Arbitrary<Model> = fc
  .record({
    forks: fc.array(fc.record({ parent: fc.nat(), after: fc.nat(20) }), { maxLength: 4 }),
    lengths: fc.array(fc.integer({ min: 0, max: 10 }), { minLength: 5, maxLength: 5 }),
    lost: fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(30)), { maxLength: 10 }),
    backups: fc.array(fc.record({ timeline: fc.nat(), after: fc.nat(30), length: fc.integer({ min: 1, max: 9 }) }), {
      maxLength: 5,
    }),
  })
  .map(({ forks, lengths, lost, backups }) => {
    const histories = new Map<number, readonly Ancestor[]>([[1, []]]);
    for (const [index, { parent, after }] of forks.entries()) {
      const from = (parent % (index + 1)) + 1;
      const before = histories.get(from)!;
      histories.set(index + 2, [...before, { timeline: from, at: (before.at(-1)?.at ?? 4) + after }]);
    }
    const stored = new Set<string>();
    for (const [timeline, ancestors] of histories) {
      const first = Math.floor((ancestors.at(-1)?.at ?? 4) / 4);
      for (let segment = first; segment < first + lengths[timeline - 1]!; segment += 1)
        stored.add(`${timeline}/${segment}`);
    }
    for (const [timeline, segment] of lost) stored.delete(`${timeline}/${segment}`);
    return {
      histories,
      stored,
      backups: backups.map(({ timeline, after, length }) => {
        const tli = (timeline % histories.size) + 1;
        const start = (histories.get(tli)!.at(-1)?.at ?? 4) + after;
        return { timeline: tli, start, stop: start + length };
      }),
    };
  });

function pathOf(
  { histories }: Model,
  timeline: number,
): readonly { readonly timeline: number; readonly begin: number }[] {
  const ancestors = histories.get(timeline)!;
  return [...ancestors.map((one) => one.timeline), timeline].map((one, index) => ({
    timeline: one,
    begin: ancestors[index - 1]?.at ?? 0,
  }));
}

/** The newest timeline of the path that begins in this segment or before it. */
function serving(path: ReturnType<typeof pathOf>, segment: number): number {
  return path.findLast(({ begin }) => Math.floor(begin / 4) <= segment)!.timeline;
}

function has(world: Model, path: ReturnType<typeof pathOf>, segment: number): boolean {
  return world.stored.has(`${serving(path, segment)}/${segment}`);
}

const LAST = 60;
const segments = Array.from({ length: LAST }, (_, index) => index);

function rangesOf({ stored, histories }: Model): readonly WalRange[] {
  return [...histories.keys()].flatMap((timeline) => {
    const ranges: { timeline: TimelineId; first: bigint; last: bigint; storedBytes: number }[] = [];
    for (const segment of segments.filter((one) => stored.has(`${timeline}/${one}`))) {
      const last = ranges.at(-1);
      if (last?.last === BigInt(segment) - 1n) last.last += 1n;
      else
        ranges.push({ timeline: timelineId(timeline), first: BigInt(segment), last: BigInt(segment), storedBytes: 0 });
    }
    return ranges;
  });
}

const position = (quarters: number) => lsn(BigInt(quarters * QUARTER));

function viewOf(world: Model): ArchiveView {
  const [repository, cluster] = ['local' as RepositoryName, 'main' as ClusterName];
  const identity = { systemIdentifier: systemIdentifier('1'), majorVersion: 17, segmentBytes: segmentBytes(SIZE) };
  const backups = world.backups.map((backup, index): CompleteBackup => {
    const moment: Micros = micros(backup.stop * 1000 + index);
    return {
      ...{ repository, cluster, label: '', startedAt: moment, state: 'complete', error: undefined },
      id: `2026112${index}T000000F` as BackupId,
      facts: {
        ...{ identity, stoppedAt: moment, finishedAt: moment, files: 0, plainBytes: 0, storedBytes: 0 },
        ...{
          parent: undefined,
          checksumsVerified: true,
          corruptPages: [],
          tablespaces: [],
          timeline: timelineId(backup.timeline),
        },
        startLsn: position(backup.start),
        stopLsn: position(backup.stop),
      },
    };
  });
  return {
    ...{ repository, cluster, backups, segmentBytes: identity.segmentBytes, ranges: rangesOf(world) },
    histories: [...world.histories].map(([timeline, ancestors]) => ({
      timeline: timelineId(timeline),
      ancestors: ancestors.map((one) => ({ timeline: timelineId(one.timeline), switchLsn: position(one.at) })),
    })),
  };
}

function expand(gaps: ReturnType<typeof findGaps>): readonly string[] {
  return gaps.flatMap(({ timeline, first, last }) =>
    segments.filter((one) => first <= BigInt(one) && BigInt(one) <= last).map((one) => `${timeline}/${one}`),
  );
}

/** Missing segments between the first and the last of some. */
function missing(world: Model, path: ReturnType<typeof pathOf>, from: number, to: number): readonly string[] {
  return segments
    .filter((one) => from < one && one < to && !has(world, path, one))
    .map((one) => `${serving(path, one)}/${one}`);
}

/** The segment that the last timeline of the path forks off in; 0 where there is only one. */
function forkOf(path: ReturnType<typeof pathOf>): number {
  return Math.floor((path.length === 1 ? 0 : path.at(-1)!.begin) / 4);
}

interface UsableBackup {
  readonly index: number;
  readonly from: number;
  /** The last segment of the unbroken WAL that it begins in. */
  readonly last: number;
  readonly order: number;
}

function usableBackups(world: Model, path: ReturnType<typeof pathOf>): readonly UsableBackup[] {
  return world.backups.flatMap((backup, index) => {
    const step = path.findIndex((one) => one.timeline === backup.timeline);
    const end = path[step + 1]?.begin ?? Infinity;
    if (step < 0 || backup.start < path[step]!.begin || backup.stop > end) return [];
    const [from, to] = [Math.floor(backup.start / 4), Math.floor((backup.stop * QUARTER - 1) / SIZE)];
    if (segments.some((one) => from <= one && one <= to && !has(world, path, one))) return [];
    let last = to;
    while (has(world, path, last + 1)) last += 1;
    return [{ index, from, last, order: backup.stop * 1000 + index }];
  });
}

describe('findGaps', () => {
  it('names exactly the segments that are missing between others of a path or before its last fork, each once', () => {
    fc.assert(
      fc.property(model, (world) => {
        const [between, toFork] = [new Set<string>(), new Set<string>()];
        for (const timeline of world.histories.keys()) {
          const path = pathOf(world, timeline);
          const there = segments.filter((one) => has(world, path, one));
          const [first, last] = [there[0], there.at(-1)];
          if (first === undefined || last === undefined) continue;
          for (const one of missing(world, path, first, last)) between.add(one);
          for (const one of missing(world, path, first, Math.max(last, forkOf(path)))) toFork.add(one);
        }
        expect([...expand(findGapsInside(viewOf(world)))].sort()).toEqual([...between].sort());
        expect([...expand(findGaps(viewOf(world)))].sort()).toEqual([...toFork].sort());
      }),
      { numRuns: 500 },
    );
  });
});

describe('gapsBehindBackup', () => {
  it('names what is missing behind the newest usable backup on the way to the newest timeline', () => {
    fc.assert(
      fc.property(model, (world) => {
        const path = pathOf(world, Math.max(...world.histories.keys()));
        const newest = [...usableBackups(world, path)].sort((a, b) => b.order - a.order)[0];
        const there = segments.findLast((one) => has(world, path, one)) ?? 0;
        const expected = newest === undefined ? [] : missing(world, path, newest.from, Math.max(there, forkOf(path)));
        expect(expand(gapsBehindBackup(viewOf(world)))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe('recoveryWindows', () => {
  it('begin with the oldest usable backup and end where the WAL behind the last usable one ends', () => {
    fc.assert(
      fc.property(model, (world) => {
        const expected = [...world.histories.keys()].flatMap((timeline) => {
          const path = pathOf(world, timeline);
          const isOwn = world.backups.some((one) => one.timeline === timeline);
          if (!isOwn && !segments.some((one) => world.stored.has(`${timeline}/${one}`))) return [];
          const usable = usableBackups(world, path);
          if (usable.length === 0) return [];
          const oldest = usable.reduce((a, b) => (b.order < a.order ? b : a));
          const last = Math.max(...usable.map((one) => one.last));
          return [
            {
              timeline,
              backup: `2026112${oldest.index}T000000F`,
              latestLsn: BigInt((last + 1) * SIZE),
              holes: missing(world, path, oldest.from, last),
            },
          ];
        });
        const found = recoveryWindows(viewOf(world)).map(({ timeline, backup, latestLsn, holes }) => ({
          ...{ timeline, backup: backup.id, latestLsn, holes: expand(holes) },
        }));
        expect(found).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});
