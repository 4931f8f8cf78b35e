import { readExpired } from './expired-file.ts';
import { readHolds } from './hold-file.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';

/** Records what is held in one archive, and what retention removed from it. */
export async function rebuildRetention(archive: ArchiveRebuild): Promise<void> {
  const { repository, cluster, catalog, signal } = archive;
  assertGoingOn(signal);
  for (const hold of await readHolds(repository, cluster, signal)) await catalog.recordHold(hold);
  const identity = await catalog.clusterIdentity(cluster);
  if (identity === undefined) return;
  try {
    const expired = await readExpired(repository, cluster, identity.segmentBytes, signal);
    if (expired.backups.length + expired.wal.length > 0) await catalog.recordExpired(repository.name, cluster, expired);
  } catch (error) {
    noteDamaged(archive, error);
  }
}
