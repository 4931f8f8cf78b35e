import type { Catalog } from '../../../catalog/catalog.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { formatMicros, type Micros } from '../../postgres/timestamp.ts';
import type { ArchiveView } from '../../wal/archive-view.ts';
import { type RecoveryWindow, recoveryWindows } from '../../wal/windows.ts';
import type { RecoverableWindowDocument } from '../api.ts';
import { momentOrNull, runOfSegments } from './documents.ts';

/** From when to when one repository can give each timeline back, with the holes in between. */
export async function recoverableWindows(catalog: Catalog, archive: ArchiveView): Promise<RecoverableWindowDocument[]> {
  const { repository } = archive;
  const windows: RecoverableWindowDocument[] = [];
  for (const window of recoveryWindows(archive)) {
    const { backup, holes } = window;
    const latest = await latestCommit(catalog, archive, window);
    windows.push({
      repository,
      timeline: window.timeline,
      backup: backup.id,
      earliest: formatMicros(backup.facts.stoppedAt),
      // A commit from before the backup's end is a part of every restore: no moment after it can be named.
      latest: momentOrNull(latest !== undefined && latest > backup.facts.stoppedAt ? latest : undefined),
      earliestLsn: formatLsn(backup.facts.stopLsn),
      latestLsn: formatLsn(window.latestLsn),
      points: window.points.map(({ id, facts }) => ({ backup: id, at: formatMicros(facts.stoppedAt) })),
      holes: holes.map((hole) => ({ repository, ...runOfSegments(hole, archive.segmentBytes) })),
    });
  }
  return windows;
}

/** The newest commit that can be reached; undefined when nothing was committed in that WAL. */
async function latestCommit(
  catalog: Catalog,
  { cluster, repository }: ArchiveView,
  { spans }: RecoveryWindow,
): Promise<Micros | undefined> {
  for (const span of spans.toReversed()) {
    const { last } = await catalog.commitBounds(repository, cluster, span);
    if (last !== undefined) return last;
  }
  return undefined;
}
