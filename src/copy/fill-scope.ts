import type { BackupFacts, BackupId, BackupRecord, RepositoryName } from '../../catalog/catalog.ts';
import { segmentNumber } from '../postgres/wal-name.ts';
import { withParents } from '../repository/backup-chain.ts';

export interface CompleteBackup extends BackupRecord {
  readonly facts: BackupFacts;
}

/** What a repository is to hold of a cluster that others hold. */
export interface FillScope {
  /** Backups that it lacks, oldest first, parents before what builds on them; each as one of the sources knows it. */
  readonly backups: readonly CompleteBackup[];
  /** The first segment that its backups need; undefined while there is none that could need any. */
  readonly from: bigint | undefined;
}

/**
 * A repository is to hold its oldest backup and everything after it; one that has none yet begins with the newest of the
 * others and what that builds on, so that it can be restored from as soon as possible. Everything older is copied only when
 * it is asked for, and what retention has removed from it only when something that is wanted builds on it. Pure.
 */
export function fillScope(
  backups: readonly BackupRecord[],
  target: RepositoryName,
  sources: readonly RepositoryName[],
  expired: readonly BackupId[] = [],
): FillScope {
  const complete = backups.filter(
    (backup): backup is CompleteBackup => backup.state === 'complete' && backup.facts !== undefined,
  );
  const held = complete.filter(({ repository }) => repository === target);
  const offered = new Map<BackupId, CompleteBackup>();
  for (const source of sources) {
    for (const backup of complete) {
      if (backup.repository === source && !offered.has(backup.id)) offered.set(backup.id, backup);
    }
  }
  // Ids sort by time.
  const ids = [...offered.keys()].sort();
  const first = held.map(({ id }) => id).sort()[0] ?? ids.at(-1);
  if (first === undefined) return { backups: [], from: undefined };
  const known = new Set(held.map(({ id }) => id));
  const lacking = [...offered.values()].filter(({ id }) => !known.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const wanted = lacking.filter(({ id }) => id >= first && !expired.includes(id));
  const missing = withParents(lacking, wanted, ({ id, facts }) => ({ id, parent: facts.parent }));
  const starts = [...held, ...missing].map(({ facts }) => segmentNumber(facts.startLsn, facts.identity.segmentBytes));
  return { backups: missing, from: starts.reduce((least, start) => (start < least ? start : least)) };
}
