import { isWaldenError, WaldenError } from '../errors.ts';
import { buildsOn } from './backup-chain.ts';
import { readBackupRecord, type StoredBackup } from './backup-record.ts';
import type { Repository } from './repository.ts';

/**
 * Asks the repository itself whether it has what an incremental backup builds on: without that it would be none there.
 * @throws STORAGE_OBJECT_MISSING when it has not, as readBackupRecord
 */
export async function assertParentStored(
  repository: Repository,
  { start, facts }: Pick<StoredBackup, 'facts'> & { readonly start: Pick<StoredBackup['start'], 'cluster' | 'id'> },
  signal?: AbortSignal,
): Promise<void> {
  if (facts.parent === undefined) return;
  const missing = `backup ${start.id} builds on ${facts.parent}, which repository ${repository.name} lacks`;
  try {
    const parent = await readBackupRecord(repository, start.cluster, facts.parent, signal);
    if (buildsOn(facts, parent.facts)) return;
  } catch (cause) {
    if (!isWaldenError(cause, 'STORAGE_OBJECT_MISSING')) throw cause;
  }
  throw new WaldenError('STORAGE_OBJECT_MISSING', missing, { hint: 'take a full backup, or copy that one first' });
}
