import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog, RepositoryName } from '../../../catalog/catalog.ts';
import type { ClusterConfig } from '../../config/config.ts';
import { microsFromDate, formatMicros } from '../../postgres/timestamp.ts';
import { readyFiles } from '../../wal/archive-status.ts';
import { viewArchive } from '../../wal/view-archive.ts';
import type { ClusterStatusDocument } from '../api.ts';
import type { JobRunner } from '../jobs.ts';
import { backupDocument, jobDocument } from './documents.ts';
import { recoverableWindows } from './windows.ts';

const RECENT_JOBS = 100;

/** What an operator asks first: from when to when, with which holes, and is anything stuck. */
export async function clusterStatus(
  catalog: Catalog,
  jobs: JobRunner,
  cluster: ClusterConfig,
): Promise<ClusterStatusDocument> {
  const identity = await catalog.clusterIdentity(cluster.name);
  const recent = await jobs.list(RECENT_JOBS);
  const refusals = await catalog.refusals(cluster.name);
  return {
    name: cluster.name,
    systemIdentifier: identity?.systemIdentifier ?? null,
    majorVersion: identity?.majorVersion ?? null,
    repositories: await Promise.all(cluster.repositories.map((name) => repositoryStatus(catalog, cluster, name))),
    wal: {
      ...(await waitingFiles(cluster.dataDirectory)),
      refusals: refusals.map(({ name, error, firstAt, lastAt, attempts }) => ({
        name,
        error: { ...error },
        firstAt: formatMicros(firstAt),
        lastAt: formatMicros(lastAt),
        attempts,
      })),
    },
    jobs: recent
      .filter(({ record }) => record.cluster === cluster.name && record.state === 'running')
      .map((view) => jobDocument(view)),
  };
}

async function repositoryStatus(
  catalog: Catalog,
  cluster: ClusterConfig,
  repository: RepositoryName,
): Promise<ClusterStatusDocument['repositories'][number]> {
  const last = await catalog.lastArchived(repository, cluster.name);
  const archive = await viewArchive(catalog, cluster.name, repository);
  const lastBackup = archive?.backups.at(-1);
  return {
    name: repository,
    lastArchived: last === undefined ? null : { name: last.name, at: formatMicros(last.archivedAt) },
    windows: archive === undefined ? [] : await recoverableWindows(catalog, archive),
    lastBackup: lastBackup === undefined ? null : backupDocument(lastBackup),
  };
}

/** What PostgreSQL waits to have archived; null where the data directory cannot be read from here. */
async function waitingFiles(
  dataDirectory: string,
): Promise<Pick<ClusterStatusDocument['wal'], 'ready' | 'oldestReadyAt'>> {
  try {
    const ready = await readyFiles(dataDirectory);
    const oldest = ready[0];
    if (oldest === undefined) return { ready: 0, oldestReadyAt: null };
    const marker = await stat(join(dataDirectory, 'pg_wal', 'archive_status', `${oldest.name}.ready`));
    return { ready: ready.length, oldestReadyAt: formatMicros(microsFromDate(marker.mtime)) };
  } catch {
    // A server that is elsewhere, down, or renaming at this moment: the answer is "not known", not an error.
    return { ready: null, oldestReadyAt: null };
  }
}
