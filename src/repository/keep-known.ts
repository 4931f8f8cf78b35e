import { errorToDocument, WaldenError } from '../errors.ts';
import type { BackupRecord, Catalog, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { assertGoingOn } from './rebuild-archive.ts';

export interface KnownRepository {
  readonly from: Catalog;
  /** What it knows of the repository already, from there, is right. */
  readonly to: Catalog;
  readonly repository: RepositoryName;
  readonly clusters: readonly ClusterName[];
  readonly signal: AbortSignal;
}

/** Has one catalog know of a repository what another one knows, where the repository itself cannot be asked. @throws INTERRUPTED */
export async function keepKnown({ from, to, repository, clusters, signal }: KnownRepository): Promise<void> {
  for (const cluster of clusters) {
    const identity = await from.clusterIdentity(cluster);
    if (identity === undefined) continue;
    if ((await to.clusterIdentity(cluster)) === undefined) await to.registerCluster(cluster, identity);
    for await (const file of from.walFiles(repository, cluster)) {
      assertGoingOn(signal);
      if ((await to.walFile(repository, cluster, file.name)) === undefined) await to.recordWalFile(file);
    }
    const read = new Set(
      (await to.backups(cluster)).filter((row) => row.repository === repository).map(({ id }) => id),
    );
    for (const row of await from.backups(cluster)) {
      if (row.repository === repository && !read.has(row.id)) await keepBackup(to, row);
    }
    for (const hold of await from.holds(cluster)) if (hold.repository === repository) await to.recordHold(hold);
    await to.recordExpired(repository, cluster, await from.expired(repository, cluster));
  }
}

/** Those that run or are being removed are taken over by the replacement itself. */
async function keepBackup(to: Catalog, { state, facts, error, ...start }: BackupRecord): Promise<void> {
  if (state === 'complete' && facts !== undefined) await to.completeBackup(start, facts);
  if (state !== 'failed') return;
  await to.openBackup([start]);
  const reason = error ?? errorToDocument(new WaldenError('INTERRUPTED', 'the backup was not completed'));
  await to.failBackup(start.repository, start.cluster, start.id, reason);
}
