import type { BackupId } from '../../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../../errors.ts';
import { isIncrementalLabel, parseBackupLabel } from '../../postgres/backup-label.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { buildsOn } from '../../repository/backup-chain.ts';
import { readBackupRecord, type StoredBackup } from '../../repository/backup-record.ts';
import { byPreference, type Repository } from '../../repository/repository.ts';
import { BackupSources } from '../backup-sources.ts';
import type { BackupToRead } from '../in-flight.ts';
import { OTHER_MAY_SERVE } from '../plan.ts';

export interface ChainPlace {
  /** Where the newest backup was found. */
  readonly planned: Repository;
  /** Of the cluster; a parent may be read from any of them. */
  readonly repositories: readonly Repository[];
  /** Told, in words, what could not be read where. */
  readonly note: (text: string) => void;
}

/**
 * The backup and all that it builds on, newest first; of a full one only itself.
 * @throws BACKUP_INVALID when they do not make a chain, and why the planned repository cannot give a parent that no other has
 */
export async function openChain(
  newest: StoredBackup,
  place: ChainPlace,
  signal: AbortSignal,
): Promise<readonly BackupToRead[]> {
  const { planned, repositories, note } = place;
  const chain: BackupToRead[] = [];
  let at = planned;
  for (let backup = newest; ;) {
    chain.push({ backup, sources: new BackupSources(backup, at, repositories, note) });
    const { parent } = backup.facts;
    assertLabel(backup);
    if (parent === undefined) return chain;
    const found = await readParent(parent, backup, place, signal);
    assertLink(backup, found.backup);
    backup = found.backup;
    at = found.repository;
  }
}

async function readParent(
  id: BackupId,
  { start }: StoredBackup,
  { planned, repositories, note }: ChainPlace,
  signal: AbortSignal,
): Promise<{ readonly backup: StoredBackup; readonly repository: Repository }> {
  const failures: WaldenError[] = [];
  for (const repository of [planned, ...byPreference(repositories.filter((other) => other !== planned))]) {
    try {
      return { backup: await readBackupRecord(repository, start.cluster, id, signal), repository };
    } catch (error) {
      if (signal.aborted || !isWaldenError(error, ...OTHER_MAY_SERVE)) throw error;
      failures.push(error);
      note(`repository ${repository.name}: ${error.message}`);
    }
  }
  throw failures[0] ?? new WaldenError('INTERNAL', 'a backup without a source');
}

/** Whether it is an increment is told by its record and by its label, which PostgreSQL wrote. */
function assertLabel({ start, facts, backupLabel }: StoredBackup): void {
  if (isIncrementalLabel(backupLabel) === (facts.parent !== undefined)) return;
  throw new WaldenError('BACKUP_INVALID', `the label of backup ${start.id} says otherwise whether it is a full backup`);
}

/** As pg_combinebackup asks for it: the one begins where the label of the other says. */
function assertLink(child: StoredBackup, parent: StoredBackup): void {
  const { incrementalFrom, incrementalFromTimeline } = parseBackupLabel(child.backupLabel);
  const { startLsn, timeline } = parent.facts;
  if (buildsOn(child.facts, parent.facts) && incrementalFrom === startLsn && incrementalFromTimeline === timeline)
    return;
  const wanted = incrementalFrom === undefined ? 'nothing' : formatLsn(incrementalFrom);
  throw new WaldenError(
    'BACKUP_INVALID',
    `backup ${child.start.id} builds on one that began at ${wanted} on timeline ${incrementalFromTimeline ?? '?'}, ` +
      `and ${parent.start.id} began at ${formatLsn(startLsn)} on timeline ${timeline}`,
  );
}
