import fc from 'fast-check';
import type { BackupId, HoldRecord, SegmentRun, WalRange } from '../../catalog/catalog.ts';
import type { RetentionPolicy } from '../../src/config/config.ts';
import type { ExpiryInput } from '../../src/retention/expiry-input.ts';
import { archiveOf, placeOf } from '../../src/retention/expiry-input.ts';
import type { ExpiryPlan } from '../../src/retention/plan-expiry.ts';
import { lsn, systemIdentifier, type TimelineId, timelineId } from '../../src/postgres/lsn.ts';
import { type Micros, micros } from '../../src/postgres/timestamp.ts';
import { segmentBytes, type WalFileName } from '../../src/postgres/wal-name.ts';
import { wholeChains } from '../../src/repository/backup-chain.ts';
import { type CompleteBackup, pathViews, runOfBackup } from '../../src/wal/archive-view.ts';
import type { Ancestry } from '../../src/wal/path-coverage.ts';
import { holdsSegment, withoutRuns } from '../../src/wal/segment-runs.ts';
import { FAR, MAIN, NEAR } from './catalog-rows.ts';

/** Histories of an archive, as long and as crooked as chance will have them, for the planner of retention. */

const SIZE = segmentBytes(1 << 20);
const QUARTER = BigInt(SIZE / 4);
const HOUR = 3_600_000_000;
export const DAY_SECONDS = 86_400;
const BEGIN = Date.UTC(2026, 0, 1) * 1000;

/** One thing that happens. Amounts are hours and quarters of a segment. */
type Event =
  | { readonly kind: 'write'; readonly quarters: number; readonly hours: number }
  | {
      readonly kind: 'backup';
      readonly quarters: number;
      readonly hours: number;
      readonly parent: number | undefined;
    }
  | { readonly kind: 'promote'; readonly back: number }
  | { readonly kind: 'upgrade' }
  | { readonly kind: 'lose'; readonly segment: number };

const hours = fc.integer({ min: 0, max: 100 });
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('write' as const), quarters: fc.integer({ min: 1, max: 12 }), hours }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('backup' as const),
      quarters: fc.integer({ min: 1, max: 9 }),
      hours: fc.integer({ min: 1, max: 30 }),
      parent: fc.option(fc.nat(3), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('promote' as const), back: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'upgrade' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), segment: fc.nat() }) },
);

const optional = (largest: number) => fc.option(fc.integer({ min: 1, max: largest }), { nil: undefined, freq: 2 });

const policy: fc.Arbitrary<RetentionPolicy> = fc
  .record({
    recoveryWindowSeconds: optional(40 * DAY_SECONDS),
    minimumBackups: optional(4),
    keepDaily: optional(5),
    keepWeekly: optional(4),
    keepMonthly: optional(3),
    keepYearly: optional(2),
    walWindowSeconds: optional(60 * DAY_SECONDS),
  })
  .map((one) => ({
    ...one,
    walWindowSeconds:
      one.walWindowSeconds === undefined ? undefined : Math.max(one.walWindowSeconds, one.recoveryWindowSeconds ?? 0),
  }));

interface World {
  time: number;
  /** In quarters. */
  position: number;
  timeline: number;
  system: number;
  readonly histories: Map<number, Ancestry>;
  /** The segments of each timeline that are stored, with the moment when they were. */
  readonly stored: Map<string, { timeline: number; segment: bigint; at: number }>;
  readonly backups: CompleteBackup[];
  /** Where each timeline's WAL is stored up to, in segments. */
  readonly archivedTo: Map<number, number>;
}

/** The input of the planner at the end of the story, and holds, and what others lack. */
export const retentionStory: fc.Arbitrary<ExpiryInput> = fc
  .record({
    events: fc.array(event, { minLength: 3, maxLength: 40 }),
    policy,
    idleHours: fc.integer({ min: 0, max: 400 }),
    silentHours: fc.integer({ min: 0, max: 400 }),
    held: fc.array(
      fc.record({ which: fc.nat(), days: fc.option(fc.integer({ min: -3, max: 60 }), { nil: undefined }) }),
      {
        maxLength: 2,
      },
    ),
    awaited: fc.array(fc.nat(), { maxLength: 1 }),
    doubted: fc.array(fc.nat(), { maxLength: 1 }),
    restored: fc.array(fc.nat(), { maxLength: 1 }),
    isCorrupt: fc.array(fc.nat(), { maxLength: 2 }),
    lockSeconds: fc.option(fc.integer({ min: 1, max: 10 * DAY_SECONDS }), { nil: undefined, freq: 4 }),
    order: fc.integer(),
  })
  .map((story) => {
    const world: World = {
      ...{ time: BEGIN, position: 4, timeline: 1, system: 1, histories: new Map(), stored: new Map() },
      ...{ backups: [], archivedTo: new Map() },
    };
    for (const one of story.events) happen(world, one, story.order);
    const backups = world.backups.map((backup, index) =>
      story.isCorrupt.some((which) => which % world.backups.length === index)
        ? { ...backup, facts: { ...backup.facts, corruptPages: [{ path: 'base/5/1', blocks: [1] }] } }
        : backup,
    );
    const idOf = (which: number): BackupId | undefined => backups[which % Math.max(1, backups.length)]?.id;
    const now = micros(world.time + story.idleHours * HOUR);
    const windowEnd = micros(now - Math.min(story.silentHours, story.idleHours) * HOUR);
    const holds = story.held.flatMap(({ which, days }): HoldRecord[] => {
      const backup = idOf(which);
      const until = days === undefined ? undefined : micros(now + days * 24 * HOUR);
      return backup === undefined
        ? []
        : [{ repository: NEAR, cluster: MAIN, backup, since: now, until, reason: 'an audit' }];
    });
    const ids = (which: readonly number[]): BackupId[] => which.map(idOf).filter((id) => id !== undefined);
    return {
      ...{ repository: NEAR, cluster: MAIN, now, windowEnd, policy: story.policy, segmentBytes: SIZE, backups, holds },
      doubts: new Map(ids(story.doubted).map((id) => [id, 'its backup.json is missing'])),
      running: [],
      histories: [...world.histories.values()],
      ranges: rangesOf(world),
      others: [],
      writtenAt: new Map([...world.stored].map(([place, { at }]) => [place, micros(at)])),
      awaited: { backups: ids(story.awaited).map((id) => ({ id, by: FAR })), segments: [] },
      arriving: [],
      lockSeconds: story.lockSeconds,
      refused: new Map(),
      restored: new Set(ids(story.restored)),
      expired: { backups: [], wal: [] },
    };
  });

function happen(world: World, one: Event, order: number): void {
  switch (one.kind) {
    case 'write':
      write(world, one.quarters, one.hours);
      break;
    case 'backup':
      takeBackup(world, one, order);
      break;
    case 'promote': {
      const known = world.histories.get(world.timeline)?.ancestors ?? [];
      const least = known.at(-1) === undefined ? 4 : Number(known.at(-1)!.switchLsn / QUARTER);
      const at = Math.max(least, world.position - one.back);
      const next = Math.max(world.timeline, 1, ...world.histories.keys()) + 1;
      const ancestors = [...known, { timeline: timelineId(world.timeline), switchLsn: place(at) }];
      world.histories.set(next, { timeline: timelineId(next), ancestors });
      world.timeline = next;
      world.position = at;
      break;
    }
    case 'upgrade':
      world.system += 1;
      world.timeline = 1;
      world.position = (Math.floor(Math.max(...[...world.archivedTo.values(), 0], world.position / 4)) + 2) * 4;
      world.archivedTo.set(1, world.position / 4);
      break;
    case 'lose': {
      const keys = [...world.stored.keys()];
      const key = keys[one.segment % Math.max(1, keys.length)];
      if (key !== undefined) world.stored.delete(key);
      break;
    }
  }
}

/** Segments are stored when they are whole. */
function write(world: World, quarters: number, hoursLong: number): void {
  for (let quarter = 0; quarter < quarters; quarter += 1) {
    world.time += Math.round((hoursLong * HOUR) / quarters) + 1;
    world.position += 1;
    if (world.position % 4 !== 0) continue;
    const segment = BigInt(world.position / 4 - 1);
    world.stored.set(placeOf(world.timeline as TimelineId, segment), {
      timeline: world.timeline,
      segment,
      at: world.time,
    });
    world.archivedTo.set(world.timeline, world.position / 4);
  }
}

function takeBackup(world: World, { quarters, hours: long, parent }: Event & { kind: 'backup' }, order: number): void {
  const start = world.position;
  const startedAt = micros(world.time);
  write(world, quarters, long);
  const stop = world.position;
  const stoppedAt = micros(world.time);
  // The segment in which it stopped is archived before it counts as a backup.
  write(world, 4 - (world.position % 4), 0);
  const base = parent === undefined ? undefined : world.backups[world.backups.length - 1 - parent];
  // Names say nothing: their order is any.
  const number = (world.backups.length * 7919 + Math.abs(order)) % 1_000_000;
  const id = `20260101T${number.toString().padStart(6, '0')}${base === undefined ? 'F' : 'I'}` as BackupId;
  world.backups.push({
    ...{ repository: NEAR, cluster: MAIN, id, label: '', startedAt, state: 'complete', error: undefined },
    facts: {
      identity: {
        systemIdentifier: systemIdentifier(String(world.system)),
        ...{ majorVersion: 16 + world.system, segmentBytes: SIZE },
      },
      parent: base?.id,
      timeline: timelineId(world.timeline),
      ...{ startLsn: place(start), stopLsn: place(stop), stoppedAt, finishedAt: micros(world.time) },
      ...{ files: 1, plainBytes: 1, storedBytes: 1, checksumsVerified: true, corruptPages: [], tablespaces: [] },
    },
  });
}

function place(quarters: number): ReturnType<typeof lsn> {
  return lsn(BigInt(quarters) * QUARTER);
}

function rangesOf({ stored }: World): readonly WalRange[] {
  const files = [...stored.values()].sort((a, b) => a.timeline - b.timeline || (a.segment < b.segment ? -1 : 1));
  const ranges: { timeline: TimelineId; first: bigint; last: bigint; storedBytes: number }[] = [];
  for (const { timeline, segment } of files) {
    const last = ranges.at(-1);
    if (last?.timeline === timeline && last.last === segment - 1n) last.last = segment;
    else ranges.push({ timeline: timelineId(timeline), first: segment, last: segment, storedBytes: 0 });
  }
  return ranges;
}

/** What is left when the plan was carried out. */
export function afterwards(input: ExpiryInput, plan: ExpiryPlan): ExpiryInput {
  const gone = new Set(plan.backups.go.map(({ id }) => id));
  const others = new Set<WalFileName>(plan.wal.others);
  return {
    ...input,
    backups: input.backups.filter(({ id }) => !gone.has(id)),
    ranges: withoutRuns(input.ranges, plan.wal.go).map((run) => ({ ...run, storedBytes: 0 })),
    others: input.others.filter(({ name }) => !others.has(name)),
    expired: plan.expired,
  };
}

/**
 * The moments that can be reached, by looking at every segment of every path: `timeline path/segment`, each with the moment
 * when it was stored. A segment counts when some backup that can be restored stops in it or before it and nothing is
 * missing between.
 */
export function reachable(input: ExpiryInput, how: 'behind' | 'from'): ReadonlyMap<string, Micros> {
  const { whole } = wholeChains(input.backups.filter(({ id }) => !input.doubts.has(id)));
  const found = new Map<string, Micros>();
  for (const view of pathViews(archiveOf(input, whole))) {
    for (const backup of view.backups) {
      const run = runOfBackup(view, backup);
      if (run === undefined) continue;
      const stop = (backup.facts.stopLsn - 1n) / BigInt(SIZE) + (how === 'behind' ? 1n : 0n);
      for (const { timeline, from, to } of run.spans) {
        for (let segment = from > stop ? from : stop; segment <= to; segment += 1n) {
          const at = input.writtenAt.get(placeOf(timeline, segment));
          if (at !== undefined) found.set(`${view.timeline}/${segment}`, at);
        }
      }
    }
  }
  return found;
}

/** Every segment that is there, as `timeline/segment`. */
export function segmentsOf(ranges: readonly SegmentRun[], others: readonly SegmentRun[] = ranges): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { timeline, first, last } of ranges) {
    for (let segment = first; segment <= last; segment += 1n) {
      if (holdsSegment(others, timeline, segment)) found.add(placeOf(timeline, segment));
    }
  }
  return found;
}
