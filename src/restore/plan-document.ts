import { formatLsn } from '../postgres/lsn.ts';
import { formatMicros } from '../postgres/timestamp.ts';
import { segmentName } from '../postgres/wal-name.ts';
import { backupDocument } from '../repository/backup-document.ts';
import type { PlanDocument } from '../service/api.ts';
import { timelineOfSegment } from '../wal/path-coverage.ts';
import type { RestorePlan } from './plan.ts';
import { describeTarget } from './target.ts';

function secondsOf(estimate: RestorePlan['estimate']): number | null {
  return estimate === undefined ? null : estimate.restoreSeconds + (estimate.recoverySeconds ?? 0);
}

export function planDocument(plan: RestorePlan): PlanDocument {
  const { choice, cluster, repository, target } = plan;
  const { view, backup } = choice.candidate;
  const size = view.archive.segmentBytes;
  const name = (segment: bigint): string => segmentName(timelineOfSegment(view.path, segment, size), segment, size);
  const unfinished = plan.fromTail.find(({ isWhole }) => !isWhole);
  const replayed = view.path.slice(view.path.findIndex(({ timeline }) => timeline === backup.facts.timeline));
  return {
    cluster,
    repository: repository.name,
    backup: backupDocument(backup),
    chain: [...plan.chain],
    target: describeTarget(target.target),
    timeline: view.timeline,
    path: replayed.map(({ timeline, end }) => ({ timeline, end: end === undefined ? null : formatLsn(end) })),
    wal: { first: name(choice.from), last: name(choice.to), segments: Number(choice.to - choice.from + 1n) },
    unfinished: unfinished === undefined ? null : { segment: unfinished.name, end: formatLsn(unfinished.end) },
    unstoredSegments: plan.fromTail.filter(({ storedIn }) => storedIn === undefined).length,
    restoreBytes: plan.restoreBytes,
    storedBytes: plan.storedBytes,
    estimatedSeconds: secondsOf(plan.estimate),
    estimate:
      plan.estimate === undefined ? null : { ...plan.estimate, recoverySeconds: plan.estimate.recoverySeconds ?? null },
    latest: choice.lastCommit === undefined ? null : formatMicros(choice.lastCommit),
    notes: [...plan.notes],
  };
}
