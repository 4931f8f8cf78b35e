import type { BackupId, Catalog, ClusterName, RepositoryName, SegmentRun } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { parseWalName, segmentNumberOfName } from '../postgres/wal-name.ts';
import { chainOf } from '../repository/backup-chain.ts';
import type { ArchiveView, CompleteBackup } from './archive-view.ts';
import { withoutRuns } from './segment-runs.ts';
import { viewArchive } from './view-archive.ts';

/** As viewArchive, without what was found to be damaged: what can be relied on. */
export async function viewSoundArchive(
  catalog: Catalog,
  cluster: ClusterName,
  repository: RepositoryName,
): Promise<ArchiveView | undefined> {
  const archive = await viewArchive(catalog, cluster, repository);
  return archive && withoutDamaged(archive, await catalog.proof.damagedObjects(cluster));
}

/** As if a damaged object were not there: a segment is a hole, a backup is none, and neither is what builds on it. Pure. */
export function withoutDamaged(archive: ArchiveView, damaged: readonly DamagedObject[]): ArchiveView {
  const here = damaged.filter(({ repository }) => repository === archive.repository);
  if (here.length === 0) return archive;
  const files = here.flatMap(({ part }) => (part.kind === 'wal' ? [parseWalName(part.name)] : []));
  const lost = files.flatMap(({ kind, name, timeline }): SegmentRun[] => {
    if (kind !== 'segment') return [];
    const segment = segmentNumberOfName(name, archive.segmentBytes);
    return [{ timeline, first: segment, last: segment }];
  });
  return {
    ...archive,
    backups: soundBackups(archive.backups, here),
    histories: archive.histories.filter(
      ({ timeline }) => !files.some((file) => file.kind === 'history' && file.timeline === timeline),
    ),
    ranges: withoutRuns(archive.ranges, lost),
  };
}

/** Backups of one repository none of whose objects is damaged, nor any of what they build on. Pure. */
export function soundBackups(
  backups: readonly CompleteBackup[],
  damaged: readonly DamagedObject[],
): readonly CompleteBackup[] {
  const bad = new Set<BackupId>(damaged.flatMap(({ part }) => (part.kind === 'backup' ? [part.backup] : [])));
  if (bad.size === 0) return backups;
  return backups.filter((backup) => !chainOf(backup, backups).some(({ id }) => bad.has(id)));
}
