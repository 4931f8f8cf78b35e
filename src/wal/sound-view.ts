import type { BackupId, Catalog, ClusterName, RepositoryName, WalRange } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { parseWalName, segmentNumberOfName } from '../postgres/wal-name.ts';
import { chainOf } from '../repository/backup-chain.ts';
import type { ArchiveView, CompleteBackup } from './archive-view.ts';
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
  const lost = files.filter(({ kind }) => kind === 'segment');
  return {
    ...archive,
    backups: soundBackups(archive.backups, here),
    histories: archive.histories.filter(
      ({ timeline }) => !files.some((file) => file.kind === 'history' && file.timeline === timeline),
    ),
    ranges: archive.ranges.flatMap((range) => {
      const own = lost.filter(({ timeline }) => timeline === range.timeline);
      return [
        ...without(range, own.map(({ name }) => segmentNumberOfName(name, archive.segmentBytes)).sort(ascending)),
      ];
    }),
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

function* without(range: WalRange, lost: readonly bigint[]): Generator<WalRange> {
  const bytesEach = range.storedBytes / (Number(range.last - range.first) + 1);
  const part = (first: bigint, last: bigint): WalRange => ({
    ...range,
    ...{ first, last, storedBytes: Math.round(bytesEach * (Number(last - first) + 1)) },
  });
  let next = range.first;
  for (const segment of lost) {
    if (segment < next || segment > range.last) continue;
    if (segment > next) yield part(next, segment - 1n);
    next = segment + 1n;
  }
  if (next <= range.last) yield part(next, range.last);
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
