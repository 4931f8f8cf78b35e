import type { BackupId, ExpiredArchive, SegmentRun } from '../../catalog/catalog.ts';
import { withParents } from '../repository/backup-chain.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { commonRuns, countSegments, holdsSegment, mergedRuns, withoutRuns } from '../wal/segment-runs.ts';
import type { CompleteBackup } from '../wal/archive-view.ts';
import type { ExpiryInput } from './expiry-input.ts';
import { judgeBackups } from './judge-backups.ts';
import { keepBackups } from './keep-backups.ts';
import { type WalNeed, walNeeds } from './keep-wal.ts';

/** What retention does to one cluster in one repository, decided. */
export interface ExpiryPlan {
  /** Why nothing at all goes. */
  readonly blocked: string | undefined;
  readonly backups: {
    /** In the order of their removal: what builds on another one before it. */
    readonly go: readonly CompleteBackup[];
    /** Oldest first. */
    readonly stay: readonly StayingBackup[];
  };
  readonly wal: {
    readonly go: readonly SegmentRun[];
    /** What of each need is there; a segment that several need is told once, for the first. */
    readonly stay: readonly WalNeed[];
    /** Backup history and partial files. History files stay: they are small, and tell which timelines there have been. */
    readonly others: readonly WalFileName[];
  };
  /** What is known to be gone by retention once this is done. */
  readonly expired: ExpiredArchive;
}

export interface StayingBackup {
  readonly backup: CompleteBackup;
  readonly reasons: readonly string[];
  /** Why it cannot be restored; undefined for a usable one. */
  readonly unusable: string | undefined;
}

/**
 * Which backups and which WAL nothing speaks for. In doubt something stays; while no backup is usable, everything does. Pure.
 *
 * A day without new backups later, what this would have removed today is removed then too: each rule keeps the newest, and
 * what a rule does not keep today it does not keep tomorrow.
 */
export function planExpiry(input: ExpiryInput): ExpiryPlan {
  const judged = judgeBackups(input);
  if (judged.usable.length === 0) {
    const blocked = 'there is no usable backup: nothing is removed until there is one';
    const stay = input.backups.map((backup) => stayingOf(backup, [blocked], judged.unusable));
    const wal = { go: [], stay: input.ranges.map((range) => ({ ...range, reason: blocked })), others: [] };
    return { blocked, backups: { go: [], stay }, wal, expired: input.expired };
  }
  const kept = keepBackups(input, judged);
  const needs = walNeeds(input, judged, kept);
  const stay = input.backups.filter(({ id }) => kept.reasons.has(id));
  const gone = input.backups.filter(({ id }) => !kept.reasons.has(id));
  const go = withParents(gone, gone, ({ id, facts }) => ({ id, parent: facts.parent })).toReversed();
  const walGoes = withoutRuns(mergedRuns(input.ranges), needs);
  const wal = {
    go: walGoes,
    stay: stayingWal(input.ranges, needs),
    others: othersThatGo(input, walGoes, needs),
  };
  return {
    blocked: undefined,
    backups: { go, stay: stay.map((backup) => stayingOf(backup, kept.reasons.get(backup.id) ?? [], judged.unusable)) },
    wal,
    expired: { backups: expiredBackups(input, go, stay), wal: expiredWal(input, walGoes, needs) },
  };
}

function stayingOf(
  backup: CompleteBackup,
  reasons: readonly string[],
  unusable: ReadonlyMap<BackupId, string>,
): StayingBackup {
  return { backup, reasons, unusable: unusable.get(backup.id) };
}

function stayingWal(ranges: ExpiryInput['ranges'], needs: readonly WalNeed[]): readonly WalNeed[] {
  const told: SegmentRun[] = [];
  return needs.flatMap((need) => {
    const here = withoutRuns(commonRuns(mergedRuns(ranges), [need]), told);
    told.push(...here);
    return here.map((run) => ({ ...run, reason: need.reason }));
  });
}

/** They go with the segment of their name: when it goes now, or went before. */
function othersThatGo(
  { others, expired }: ExpiryInput,
  goes: readonly SegmentRun[],
  needs: readonly SegmentRun[],
): readonly WalFileName[] {
  const gone = withoutRuns(mergedRuns([...expired.wal, ...goes]), needs);
  return others
    .filter(
      ({ kind, timeline, segment }) =>
        kind !== 'history' && segment !== undefined && holdsSegment(gone, timeline, segment),
    )
    .map(({ name }) => name);
}

/** Holes between what goes are no holes any more: nothing that stays is on their both sides. */
function expiredWal(
  { expired, ranges }: ExpiryInput,
  goes: readonly SegmentRun[],
  needs: readonly SegmentRun[],
): readonly SegmentRun[] {
  const present = withoutRuns(mergedRuns(ranges), goes);
  const before = withoutRuns(mergedRuns(expired.wal), present);
  const lines = new Map<number, SegmentRun>();
  for (const run of [...before, ...goes]) {
    const { timeline, first, last } = lines.get(run.timeline) ?? run;
    lines.set(timeline, {
      timeline,
      first: first < run.first ? first : run.first,
      last: last > run.last ? last : run.last,
    });
  }
  return mergedRuns([...before, ...withoutRuns([...lines.values()], [...needs, ...present])]);
}

/** Only what is newer than the oldest that stays is ever looked for in other repositories. */
function expiredBackups(
  { expired }: ExpiryInput,
  go: readonly CompleteBackup[],
  stay: readonly CompleteBackup[],
): readonly BackupId[] {
  const staying = stay.map(({ id }) => id).sort();
  const [oldest] = staying;
  const ids = new Set([...expired.backups, ...go.map(({ id }) => id)]);
  return [...ids].filter((id) => (oldest === undefined || id > oldest) && !staying.includes(id)).sort();
}

/** Whether there is anything to do. */
export function isIdle({ backups, wal }: ExpiryPlan): boolean {
  return backups.go.length === 0 && countSegments(wal.go) === 0 && wal.others.length === 0;
}
