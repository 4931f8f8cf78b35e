import type { SegmentRun } from '../../catalog/catalog.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { segmentNumber } from '../postgres/wal-name.ts';
import { backupSegments, type CompleteBackup, liesOn, type PathView, runOfBackup } from '../wal/archive-view.ts';
import { timelineOfSegment } from '../wal/path-coverage.ts';
import { END_OF_WAL } from '../wal/segment-runs.ts';
import { lastCutBefore } from '../wal/windows.ts';
import { endOfRun, type ExpiryInput, newestWritten, secondsBefore } from './expiry-input.ts';
import type { JudgedBackups } from './judge-backups.ts';
import { type KeptBackups, RESTORED, windowStart } from './keep-backups.ts';

/** Segments that stay, and why; also those of them that are not there. */
export interface WalNeed extends SegmentRun {
  readonly reason: string;
}

/** Pure. What is in none of these goes. */
export function walNeeds(input: ExpiryInput, judged: JudgedBackups, kept: KeptBackups): readonly WalNeed[] {
  const staying = input.backups.filter(({ id }) => kept.reasons.has(id));
  const everything = whyAllStays(input, staying);
  if (everything !== undefined) return input.ranges.map((range) => ({ ...range, reason: everything }));
  return [
    ...staying.flatMap((backup) => backupNeeds(input, judged, backup, `needed by ${backup.id}`)),
    ...input.arriving.flatMap((backup) =>
      backupNeeds(input, judged, backup, `needed by ${backup.id}, which is on its way here`),
    ),
    ...judged.views.flatMap((view) => pathNeeds(input, judged, kept, view)),
    ...judged.views.flatMap((view) => recoveryNeeds(input, view)),
    ...unknownTimelines(input, judged),
    ...input.awaited.segments.map(({ by, ...run }) => ({ ...run, reason: `repository ${by} lacks it yet` })),
  ];
}

/** What may be needed cannot be told. */
function whyAllStays({ running, segmentBytes }: ExpiryInput, staying: readonly CompleteBackup[]): string | undefined {
  if (running[0] !== undefined) return `backup ${running[0]} is being taken`;
  const other = staying.find(({ facts }) => facts.identity.segmentBytes !== segmentBytes);
  return other && `the segments of ${other.id} are of another size`;
}

/** From the start of a backup to its stop, along every path that it lies on. */
function backupNeeds(
  { segmentBytes }: ExpiryInput,
  { views }: JudgedBackups,
  backup: CompleteBackup,
  reason: string,
): readonly WalNeed[] {
  const { from, to } = backupSegments(backup);
  const needs: WalNeed[] = [{ timeline: backup.facts.timeline, first: from, last: to, reason }];
  for (const { path } of views.filter((view) => liesOn(view.path, backup))) {
    // Only the segment in which a timeline forks off is another's.
    const timeline = timelineOfSegment(path, to, segmentBytes);
    if (timeline !== backup.facts.timeline) needs.push({ timeline, first: to, last: to, reason });
  }
  return needs;
}

/** Everything along a path from the backup on with which its moments begin. */
function pathNeeds(
  input: ExpiryInput,
  judged: JudgedBackups,
  { reasons, promisedFrom }: KeptBackups,
  view: PathView,
): readonly WalNeed[] {
  const { walWindowSeconds } = input.policy;
  const from = walWindowSeconds === undefined ? promisedFrom : secondsBefore(input.windowEnd, walWindowSeconds);
  const reached = Math.min(from, windowStart(input) ?? from, newestWritten(input));
  const keptIn = view.runs.map((run) =>
    view.backups.filter((backup) => reasons.has(backup.id) && runOfBackup(view, backup) === run),
  );
  // Where retention has cut off what followed, nobody goes on from there.
  const cut = lastCutBefore(
    view,
    keptIn.findLastIndex((kept) => kept.length > 0),
  );
  const reaching = view.runs.filter((run, index) => index > cut && endOfRun(input, run) >= reached);
  const begins = reaching.flatMap((run) => beginsWith(keptIn[view.runs.indexOf(run)] ?? [], judged, from));
  if (begins.length > 0) {
    const first = begins.reduce((least, backup) => (backup.facts.startLsn < least.facts.startLsn ? backup : least));
    return stepsFrom(view, backupSegments(first).from, `point-in-time recovery from ${first.id} on`);
  }
  // Nobody can recover along it yet, but what is new may be what the next backup needs.
  const own = input.ranges.filter(({ timeline }) => timeline === view.timeline);
  const isNew = reaching.some(({ spans }) => spans.at(-1)?.timeline === view.timeline);
  if (!isNew || own.length === 0) return [];
  return [
    {
      timeline: view.timeline,
      first: 0n,
      last: END_OF_WAL,
      reason: `timeline ${view.timeline} has no usable backup yet`,
    },
  ];
}

/** The newest that ended by then, with sound pages too; or all where none did. */
function beginsWith(
  newestFirst: readonly CompleteBackup[],
  { isSound }: JudgedBackups,
  from: Micros,
): readonly CompleteBackup[] {
  const earlier = newestFirst.filter(({ facts }) => facts.stoppedAt <= from);
  if (earlier[0] === undefined) return newestFirst;
  return [earlier[0], ...earlier.filter(isSound).slice(0, 1)];
}

/** Where a node goes to that was restored is not known: along every path. */
function recoveryNeeds({ restored }: ExpiryInput, view: PathView): readonly WalNeed[] {
  return view.backups
    .filter(({ id }) => restored.has(id))
    .flatMap((backup) => stepsFrom(view, backupSegments(backup).from, RESTORED));
}

function stepsFrom({ path, archive }: PathView, from: bigint, reason: string): readonly WalNeed[] {
  return path.flatMap(({ timeline, begin }, index) => {
    const next = path[index + 1];
    const first = segmentNumber(begin, archive.segmentBytes);
    // The segment of the fork stays on both timelines: PostgreSQL takes the older one where the newer is not there.
    const last = next === undefined ? END_OF_WAL : segmentNumber(next.begin, archive.segmentBytes);
    return last < from ? [] : [{ timeline, first: first > from ? first : from, last, reason }];
  });
}

/** Whose history is not there: nobody knows what they descend from. */
function unknownTimelines({ ranges }: ExpiryInput, { views }: JudgedBackups): readonly WalNeed[] {
  const known = new Set(views.map(({ timeline }) => timeline));
  return ranges
    .filter(({ timeline }) => !known.has(timeline))
    .map((range) => ({ ...range, reason: `the history of timeline ${range.timeline} is not in the archive` }));
}
