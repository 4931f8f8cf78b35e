import type { BackupId } from '../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import { wholeChains } from '../repository/backup-chain.ts';
import { readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { type CompleteBackup, liesOn, newestFirst } from '../wal/archive-view.ts';
import type { PathStep } from '../wal/path-coverage.ts';
import { soundBackups } from '../wal/sound-view.ts';
import { completeBackups } from '../wal/view-archive.ts';
import type { BackupDeps, BackupRequest } from './backup-deps.ts';

/** A backup as it stands in each repository of the cluster. */
export type ParentBackup = Pick<StoredBackup, 'start' | 'facts' | 'manifest'>;

/**
 * What an incremental backup builds on: the backup that is named, or the newest one. It is in every repository that the new
 * one goes to, with all that it builds on itself, and lies on the server's own history.
 * @param path the server's timelines
 * @throws NOT_FOUND when there is none; BACKUP_INVALID when the one that is named will not do; and as readBackupRecord
 */
export async function chooseParent(
  { catalog, repositories }: Pick<BackupDeps, 'catalog' | 'repositories'>,
  { cluster, identity }: Pick<BackupRequest, 'cluster' | 'identity'>,
  wanted: BackupId | undefined,
  path: readonly PathStep[],
): Promise<ParentBackup> {
  const hint = `take a full backup: walden backup ${cluster.name}`;
  const damaged = await catalog.proof.damagedObjects(cluster.name);
  let candidates: readonly CompleteBackup[] | undefined;
  for (const { name } of repositories) {
    const { whole } = wholeChains(await completeBackups(catalog, cluster.name, name));
    const sound = soundBackups(
      whole,
      damaged.filter(({ repository }) => repository === name),
    );
    const held = new Set(sound.map(({ id }) => id));
    candidates = (candidates ?? sound).filter(({ id }) => held.has(id));
    if (wanted === undefined || held.has(wanted)) continue;
    throw new WaldenError(
      'BACKUP_INVALID',
      `no backup can build on ${wanted}: repository ${name} lacks it, or what it builds on, or holds it damaged`,
      {
        hint,
      },
    );
  }
  const usable = (candidates ?? []).filter(
    ({ facts }) => facts.identity.systemIdentifier === identity.systemIdentifier && liesOn(path, { facts }),
  );
  const [chosen] = usable.filter(({ id }) => wanted === undefined || id === wanted).sort(newestFirst);
  if (chosen !== undefined) return await readEverywhere(repositories, chosen, hint);
  if (wanted !== undefined) {
    throw new WaldenError(
      'BACKUP_INVALID',
      `no backup can build on ${wanted}: it is not of the history of the server`,
      { hint },
    );
  }
  const names = repositories.map(({ name }) => name).join(', ');
  throw new WaldenError('NOT_FOUND', `cluster ${cluster.name} has no backup to build on in ${names}`, { hint });
}

/** The repositories are the truth: what the catalog says may be gone there. */
async function readEverywhere(
  repositories: BackupDeps['repositories'],
  { cluster, id, facts }: CompleteBackup,
  hint: string,
): Promise<ParentBackup> {
  let parent: StoredBackup | undefined;
  for (const repository of repositories) {
    try {
      parent = await readBackupRecord(repository, cluster, id);
    } catch (error) {
      if (!isWaldenError(error, 'STORAGE_OBJECT_MISSING')) throw error;
      throw new WaldenError(error.code, `no backup can build on ${id}: ${error.message}`, { hint, cause: error });
    }
    if (parent.facts.startLsn === facts.startLsn && parent.facts.stopLsn === facts.stopLsn) continue;
    throw new WaldenError(
      'BACKUP_INVALID',
      `backup ${id} in repository ${repository.name} is not the one that the catalog knows`,
    );
  }
  if (parent === undefined) throw new WaldenError('INTERNAL', 'a backup without a repository');
  return parent;
}
