import type { BackupId } from '../../catalog/catalog.ts';
import { chainOf, wholeChains } from '../repository/backup-chain.ts';
import { type CompleteBackup, newestFirst, type PathView, pathViews, runOfBackup } from '../wal/archive-view.ts';
import { archiveOf, type ExpiryInput } from './expiry-input.ts';

/** Which backups a restore could begin with. */
export interface JudgedBackups {
  /** Newest first, by recorded time. */
  readonly usable: readonly CompleteBackup[];
  /** Of these, those whose chain holds no page that was corrupt in the cluster. */
  readonly isSound: (backup: CompleteBackup) => boolean;
  /** The full backup at the bottom of a usable one. */
  readonly rootOf: (backup: CompleteBackup) => BackupId;
  /** Why the others cannot be restored. */
  readonly unusable: ReadonlyMap<BackupId, string>;
  /** The paths to every timeline, with the usable backups on each, newest first. */
  readonly views: readonly PathView[];
}

/**
 * A backup is usable when it is complete, all that it builds on is, and the WAL from its start to its stop is there along
 * some path. Pure.
 */
export function judgeBackups(input: ExpiryInput): JudgedBackups {
  const unusable = new Map<BackupId, string>(input.doubts);
  for (const { id, facts } of input.backups) {
    // Segments are counted in the size of the cluster as it is now: numbers of another size mean other places.
    if (facts.identity.segmentBytes !== input.segmentBytes) unusable.set(id, 'its segments are of another size');
  }
  const { whole, broken } = wholeChains(input.backups.filter(({ id }) => !unusable.has(id)));
  for (const { id, missing } of broken) unusable.set(id, `it builds on ${missing}, which is not there`);
  const paths = pathViews(archiveOf(input, whole));
  const usable = new Map<BackupId, CompleteBackup>();
  const views = paths.map((view) => {
    const backups = view.backups.filter((backup) => runOfBackup(view, backup) !== undefined);
    for (const backup of backups) usable.set(backup.id, backup);
    return { ...view, backups };
  });
  for (const { id } of whole) if (!usable.has(id)) unusable.set(id, 'WAL between its start and its stop is missing');
  const chains = new Map(whole.map((backup) => [backup.id, chainOf(backup, whole)]));
  return {
    usable: [...usable.values()].sort(newestFirst),
    isSound: ({ id }) => chains.get(id)?.every(({ facts }) => facts.corruptPages.length === 0) === true,
    rootOf: ({ id }) => chains.get(id)?.at(-1)?.id ?? id,
    unusable,
    views,
  };
}
