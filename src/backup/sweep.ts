import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, systemErrorCode, toWaldenError, type WaldenError } from '../errors.ts';
import type { BackupId, BackupRecord, ClusterName } from '../../catalog/catalog.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { ABANDONED_MICROS, claimantOf } from '../repository/backup-claim.ts';
import { readBackupRecord } from '../repository/backup-record.ts';
import { startOfBackupId } from '../repository/names.ts';
import { removeBackupObjects } from '../repository/remove-backup.ts';
import type { Repository } from '../repository/repository.ts';
import { storedBackups, type StoredBackupId } from '../repository/stored-backups.ts';
import { isActive } from './active-backups.ts';
import type { BackupSweeping } from './backup-deps.ts';

/**
 * Removes what is left of failed and half-removed backups: marks in the catalog, removes the objects, forgets the entry. A
 * backup with `backup.json` is one, whatever the catalog says, unless its removal was begun. What another service claims is
 * left alone for a week: it may be under way. What cannot be removed now, since the store locks it or these credentials may
 * not, stays marked for the next time, which is said once.
 */
export async function sweepBackups(
  keeping: BackupSweeping,
  cluster: ClusterName,
  repositories: readonly Repository[],
  signal: AbortSignal,
): Promise<void> {
  const rows = await keeping.catalog.backups(cluster);
  // Where one of them is not complete, it is being copied, or will be.
  const complete = new Set(rows.filter(({ state }) => state === 'complete').map(({ id }) => id));
  for (const repository of repositories) {
    const known = new Map(rows.filter((row) => row.repository === repository.name).map((row) => [row.id, row]));
    const refusals: WaldenError[] = [];
    try {
      for await (const found of storedBackups(repository.driver, cluster, signal)) {
        const row = known.get(found.id);
        known.delete(found.id);
        if (row === undefined && complete.has(found.id)) continue;
        await sweepFound({ ...keeping, repository, cluster }, found, row).catch((error: unknown) => {
          if (!isWaldenError(error, 'STORAGE_LOCKED', 'STORAGE_DENIED')) throw error;
          refusals.push(error);
        });
      }
      tellRefusals(refusals, keeping, { cluster, repository: repository.name });
      for (const row of known.values()) {
        if (row.state === 'failed' || row.state === 'removing') {
          await keeping.catalog.forgetBackup(repository.name, cluster, row.id);
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      const { message } = toWaldenError(error);
      keeping.log.warn(
        { cluster, repository: repository.name },
        `unable to remove what failed backups left: ${message}`,
      );
    }
  }
}

function tellRefusals(
  [first, ...others]: readonly WaldenError[],
  { log }: BackupSweeping,
  facts: { readonly cluster: ClusterName; readonly repository: string },
): void {
  if (first === undefined) return;
  const more = others.length === 0 ? '' : ` (${others.length} more of them)`;
  log.warn(facts, `what a failed backup left stays for now${more}: ${first.message}`);
}

/** Directories in which earlier backups of this cluster staged their packs. The lock must be held. */
export async function sweepStaging(directory: string, cluster: ClusterName): Promise<void> {
  const prefix = stagingName(cluster, '' as BackupId);
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    // Another cluster's name may begin with this one's.
    if (!name.startsWith(prefix) || !/^\d{8}T\d{6}[FI]$/.test(name.slice(prefix.length))) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

export function stagingName(cluster: ClusterName, id: BackupId): string {
  return `backup-${cluster}-${id}`;
}

interface Sweep extends BackupSweeping {
  readonly repository: Repository;
  readonly cluster: ClusterName;
}

async function sweepFound(sweep: Sweep, found: StoredBackupId, row: BackupRecord | undefined): Promise<void> {
  const { catalog, log, repository, cluster } = sweep;
  const facts = { cluster, repository: repository.name, backup: found.id };
  if (row?.state === 'running' || isActive(catalog, cluster, found.id)) return;
  if (found.complete && row?.state !== 'removing') {
    if (row?.state !== 'failed') return;
    const { start, facts: kept } = await readBackupRecord(repository, cluster, found.id);
    await catalog.completeBackup(start, kept);
    log.info(facts, `backup ${found.id} had been completed after all`);
    return;
  }
  if (row?.state === 'complete') {
    log.warn(
      facts,
      `backup ${found.id} has lost its backup.json in repository ${repository.name}; nothing was removed`,
    );
    return;
  }
  if (row?.state !== 'removing' && (await isOfAnother(sweep, found.id))) {
    log.warn(
      facts,
      `backup ${found.id} in repository ${repository.name} is another service's and not complete: it was left alone`,
    );
    return;
  }
  if (row !== undefined) await catalog.markRemoving(repository.name, cluster, found.id);
  await removeBackupObjects(repository.driver, cluster, found.id);
  if (row !== undefined) await catalog.forgetBackup(repository.name, cluster, found.id);
  log.info(facts, `removed what was left of backup ${found.id}`);
}

async function isOfAnother({ repository, cluster, clock, instance }: Sweep, id: BackupId): Promise<boolean> {
  const claimant = await claimantOf(repository, cluster, id);
  if (claimant === instance || claimant === 'nobody') return false;
  return microsFromDate(clock.now()) - startOfBackupId(id) < ABANDONED_MICROS;
}
