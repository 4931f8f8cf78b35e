import type { BackupId, HoldRecord } from '../../catalog/catalog.ts';
import { describeMicros, type Micros, micros } from '../postgres/timestamp.ts';
import { type CompleteBackup, runOfBackup } from '../wal/archive-view.ts';
import { endOfRun, type ExpiryInput, newestWritten, secondsBefore } from './expiry-input.ts';
import type { JudgedBackups } from './judge-backups.ts';
import { newestOfPeriods, PERIODS } from './periods.ts';

/** Of a backup, and of the WAL behind it. */
export const RESTORED = 'restored lately: its recovery may still ask for WAL';

/** Why backups stay; what is not in `reasons` goes. */
export interface KeptBackups {
  readonly reasons: ReadonlyMap<BackupId, readonly string[]>;
  /** When the oldest of those that the policy itself asks for ended. */
  readonly promisedFrom: Micros;
}

/** Pure. There is at least one usable backup. */
export function keepBackups(input: ExpiryInput, judged: JudgedBackups): KeptBackups {
  const reasons = new Map<BackupId, string[]>();
  const keep = (id: BackupId, reason: string): void => {
    const known = reasons.get(id) ?? [];
    reasons.set(id, known);
    if (!known.includes(reason)) known.push(reason);
  };
  keepNewest(input, judged, keep);
  const recentFrom = oldestKept(input, judged, reasons);
  keepPeriods(input, judged, keep);
  const promisedFrom = oldestKept(input, judged, reasons);
  keepOthers(input, keep);
  for (const { id, facts } of input.backups) {
    const why = judged.unusable.get(id);
    // It may be put right yet, from another repository.
    if (why !== undefined && facts.stoppedAt >= recentFrom) keep(id, `recent, though it cannot be restored: ${why}`);
  }
  keepParents(input, keep, [...reasons.keys()]);
  return { reasons, promisedFrom };
}

function oldestKept(
  { now }: ExpiryInput,
  { usable }: JudgedBackups,
  reasons: ReadonlyMap<BackupId, readonly string[]>,
): Micros {
  const moments = usable.filter(({ id }) => reasons.has(id)).map(({ facts }) => facts.stoppedAt);
  return moments.reduce((least, moment) => (moment < least ? moment : least), now);
}

/** From where on every moment that can be reached is to stay so. */
export function windowStart({ policy, windowEnd }: ExpiryInput): Micros | undefined {
  const { recoveryWindowSeconds } = policy;
  return recoveryWindowSeconds === undefined ? undefined : secondsBefore(windowEnd, recoveryWindowSeconds);
}

type Keep = (id: BackupId, reason: string) => void;

function keepNewest(input: ExpiryInput, judged: JudgedBackups, keep: Keep): void {
  const { policy } = input;
  const { usable, isSound, rootOf } = judged;
  for (const { id } of usable.slice(0, 1)) keep(id, 'the last usable backup');
  for (const { id } of usable.filter(isSound).slice(0, 1)) keep(id, 'the last usable backup without corrupt pages');
  // After a failover two timelines may have gone on: the newest backup need not lead to the newest WAL.
  const newest = newestWritten(input);
  for (const view of judged.views) {
    for (const run of view.runs.filter((one) => endOfRun(input, one) >= newest)) {
      const found = view.backups.find((backup) => runOfBackup(view, backup) === run);
      if (found !== undefined) keep(found.id, 'the newest WAL is reached from it');
    }
  }
  keepWindow(input, judged, keep);
  if (policy.minimumBackups !== undefined) {
    const full = usable.filter(({ facts }) => facts.parent === undefined);
    const bySoundness = [...full.filter(isSound), ...full.filter((backup) => !isSound(backup))];
    const chosen = new Set(bySoundness.slice(0, policy.minimumBackups).map(({ id }) => id));
    for (const backup of usable) {
      const root = rootOf(backup);
      if (!chosen.has(root)) continue;
      keep(
        backup.id,
        root === backup.id ? `one of the newest ${policy.minimumBackups} full backups` : `builds on ${root}`,
      );
    }
  }
}

function keepPeriods({ policy }: ExpiryInput, { usable, isSound }: JudgedBackups, keep: Keep): void {
  const counts = {
    ...{ daily: policy.keepDaily, weekly: policy.keepWeekly, monthly: policy.keepMonthly, yearly: policy.keepYearly },
  };
  for (const kind of ['daily', 'weekly', 'monthly', 'yearly'] as const) {
    const periodOf = ({ facts }: CompleteBackup): string => PERIODS[kind](facts.stoppedAt);
    for (const backup of newestOfPeriods(usable, counts[kind] ?? 0, { periodOf, prefers: isSound })) {
      keep(backup.id, `${kind}, of ${periodOf(backup)}`);
    }
  }
}

/**
 * All that ended in the window, and of each run of WAL that reaches into it the backup with which its moments begin: what
 * could be reached from an older one can be reached from this one.
 */
function keepWindow(input: ExpiryInput, { usable, isSound, views }: JudgedBackups, keep: Keep): void {
  const from = windowStart(input);
  if (from === undefined) return;
  for (const { id, facts } of usable) if (facts.stoppedAt > from) keep(id, 'in the recovery window');
  // When nothing was written for longer than the window, the newest that there is counts.
  const reached = Math.min(from, newestWritten(input));
  for (const view of views) {
    for (const run of view.runs) {
      if (endOfRun(input, run) < reached) continue;
      const earlier = view.backups.filter((one) => one.facts.stoppedAt <= from && runOfBackup(view, one) === run);
      for (const found of [earlier[0], earlier.find(isSound)]) {
        if (found !== undefined) keep(found.id, 'the recovery window begins with it');
      }
    }
  }
}

/** What the policy does not ask for, but somebody does. */
function keepOthers(input: ExpiryInput, keep: Keep): void {
  const { backups, holds, now, windowEnd, awaited, arriving, lockSeconds } = input;
  const known = new Set(backups.map(({ id }) => id));
  for (const hold of holds) if (known.has(hold.backup) && isHeld(hold, windowEnd)) keep(hold.backup, holdWords(hold));
  for (const { id, by } of awaited.backups) if (known.has(id)) keep(id, `repository ${by} lacks it yet`);
  for (const { id, facts } of arriving) {
    if (facts.parent !== undefined && known.has(facts.parent))
      keep(facts.parent, `parent of ${id}, which is on its way here`);
  }
  for (const [id, message] of input.refused) if (known.has(id)) keep(id, message);
  for (const id of input.restored) if (known.has(id)) keep(id, RESTORED);
  if (lockSeconds === undefined) return;
  for (const { id, facts } of backups) {
    const until = micros(facts.finishedAt + lockSeconds * 1_000_000);
    if (until > now) keep(id, `locked until ${describeMicros(until)}`);
  }
}

export function isHeld({ until }: HoldRecord, now: Micros): boolean {
  return until === undefined || until > now;
}

export function holdWords({ until, reason }: HoldRecord): string {
  const time = until === undefined ? 'held' : `held until ${describeMicros(until)}`;
  return reason === undefined ? time : `${time}: ${reason}`;
}

/** Whatever stays, stays with all that it builds on. */
function keepParents({ backups }: ExpiryInput, keep: Keep, ids: readonly BackupId[]): void {
  const known = new Map<BackupId, CompleteBackup>(backups.map((backup) => [backup.id, backup]));
  const seen = new Set<BackupId>();
  const waiting = [...ids];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const parent = seen.has(id) ? undefined : known.get(id)?.facts.parent;
    seen.add(id);
    if (parent === undefined || !known.has(parent)) continue;
    keep(parent, `parent of ${id}`);
    waiting.push(parent);
  }
}
