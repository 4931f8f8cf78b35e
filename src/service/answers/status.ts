import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog } from '../../../catalog/catalog.ts';
import { errorToDocument } from '../../errors.ts';
import { microsFromDate, formatMicros } from '../../postgres/timestamp.ts';
import type { Repository } from '../../repository/repository.ts';
import { readyFiles } from '../../wal/archive-status.ts';
import { gapsBehindBackup } from '../../wal/gaps.ts';
import { withoutDamaged } from '../../wal/sound-view.ts';
import { viewArchive } from '../../wal/view-archive.ts';
import type { ArchiveView } from '../../wal/archive-view.ts';
import type { ClusterStatusDocument, WalGapsDocument } from '../api.ts';
import type { JobRunner } from '../jobs.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { ServiceDeps } from '../deps.ts';
import { backupDocument, jobDocument, momentOrNull, runOfSegments } from './documents.ts';
import { verificationSummary } from './proof.ts';
import { receiverDocument } from './receiver.ts';
import { recoverableWindows } from './windows.ts';
import { writerList } from './writers.ts';

const RECENT_JOBS = 100;

/** What an operator asks first: from when to when, with which holes, and is anything stuck. */
export async function clusterStatus(
  { catalog, clock }: Pick<ServiceDeps, 'catalog' | 'clock'>,
  jobs: JobRunner,
  room: ClusterRoom,
): Promise<ClusterStatusDocument> {
  const { config: cluster } = room;
  const identity = await catalog.clusterIdentity(cluster.name);
  const recent = await jobs.list(RECENT_JOBS);
  const refusals = await catalog.refusals(cluster.name);
  const { writers, refused } = await writerList(catalog, cluster.name, clock.now());
  return {
    name: cluster.name,
    systemIdentifier: identity?.systemIdentifier ?? null,
    majorVersion: identity?.majorVersion ?? null,
    repositories: await Promise.all(room.repositories.map((repository) => repositoryStatus(catalog, room, repository))),
    wal: {
      ...(await waitingFiles(cluster.dataDirectory)),
      refusals: refusals.map(({ name, error, firstAt, lastAt, attempts }) => ({
        name,
        error: { ...error },
        firstAt: formatMicros(firstAt),
        lastAt: formatMicros(lastAt),
        attempts,
      })),
      writer: writers.at(-1) ?? null,
      secondWriters: refused,
    },
    receiver: receiverDocument(room, clock.now()),
    jobs: recent
      .filter(({ record }) => record.cluster === cluster.name && record.state === 'running')
      .map((view) => jobDocument(view)),
  };
}

async function repositoryStatus(
  catalog: Catalog,
  { config, required, fillers }: ClusterRoom,
  repository: Repository,
): Promise<ClusterStatusDocument['repositories'][number]> {
  const { name, health } = repository;
  const last = await catalog.lastArchived(name, config.name);
  const held = await viewArchive(catalog, config.name, name);
  const archive = held && withoutDamaged(held, await catalog.proof.damagedObjects(config.name));
  const isRequired = required.includes(repository);
  const lastBackup = archive?.backups.at(-1);
  const filler = fillers.find(({ target }) => target === repository);
  const failure = health?.failure ?? filler?.failure;
  const lag = await filler?.lag();
  return {
    name,
    required: isRequired,
    failure:
      failure === undefined
        ? null
        : { error: errorToDocument(failure.error), since: formatMicros(microsFromDate(failure.since)) },
    lag:
      lag === undefined ? null : { walFiles: lag.walFiles, oldestAt: momentOrNull(lag.oldestAt), backups: lag.backups },
    lastArchived: last === undefined ? null : { name: last.name, at: formatMicros(last.archivedAt) },
    windows: archive === undefined ? [] : await recoverableWindows(catalog, archive),
    missing: held === undefined || !isRequired ? [] : missingWal(held),
    lastBackup: lastBackup === undefined ? null : backupDocument(lastBackup),
    verification: await verificationSummary(catalog, config.name, name),
  };
}

function missingWal(archive: ArchiveView): WalGapsDocument['gaps'] {
  const { repository, segmentBytes } = archive;
  return gapsBehindBackup(archive).map((gap) => ({ repository, ...runOfSegments(gap, segmentBytes) }));
}

/** What PostgreSQL waits to have archived; null where the data directory cannot be read from here. */
async function waitingFiles(
  dataDirectory: string | undefined,
): Promise<Pick<ClusterStatusDocument['wal'], 'ready' | 'oldestReadyAt'>> {
  if (dataDirectory === undefined) return { ready: null, oldestReadyAt: null };
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
