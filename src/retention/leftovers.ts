import type { BackupId, BackupRecord } from '../../catalog/catalog.ts';
import type { Micros } from '../postgres/timestamp.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { startOfBackupId } from '../repository/names.ts';
import { superseded, type UnfinishedObject } from '../wal/unfinished.ts';
import type { ArchiveSurvey } from './survey-archive.ts';

/** What crashed work left may be somebody's still for so long. */
export const GRACE_MICROS = 24 * 3600 * 1_000_000;

/** Objects that nothing refers to. */
export interface Leftovers {
  /** Backups that were begun and never completed, of whom nobody is at work on. */
  readonly backups: readonly BackupId[];
  /** Backups that are gone, of which there are holds. */
  readonly holds: readonly BackupId[];
  readonly unfinished: readonly UnfinishedObject[];
}

/**
 * Pure. Nothing that may be under way: a backup counts as left when it began a day ago and neither runs, as far as the catalog
 * knows, nor is on its way here, nor is another service's.
 */
export function planLeftovers(
  survey: ArchiveSurvey,
  facts: {
    readonly now: Micros;
    readonly rows: readonly BackupRecord[];
    /** Under way, by whomever. */
    readonly busy: ReadonlySet<BackupId>;
    /** Segments that are stored whole, or that retention has removed. */
    readonly settled: ReadonlySet<WalFileName>;
  },
): Leftovers {
  const { now, rows, busy, settled } = facts;
  const states = new Map(rows.map(({ id, state }) => [id, state]));
  const isOld = (id: BackupId): boolean => now - startOfBackupId(id) > GRACE_MICROS;
  const backups = [...survey.backups]
    .filter(([id, { isComplete }]) => !isComplete && isOld(id) && !busy.has(id))
    .map(([id]) => id)
    // One that is known as complete and has lost its record is damaged, not left.
    .filter((id) => states.get(id) === undefined || states.get(id) === 'failed');
  const holds = [...survey.held].filter(
    (id) => !survey.backups.has(id) && !states.has(id) && isOld(id) && !busy.has(id),
  );
  return { backups, holds, unfinished: superseded(survey.unfinished, settled) };
}
