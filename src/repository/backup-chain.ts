import type { BackupFacts, BackupId, BackupRecord } from '../../catalog/catalog.ts';

/** A backup that is there as a whole, as the catalog knows it. */
type Complete = BackupRecord & { readonly facts: BackupFacts };

/** Why an incremental backup cannot be restored from one repository. */
export interface BrokenChain {
  readonly id: BackupId;
  /** The backup that is missing there, or is not what the one above it builds on. */
  readonly missing: BackupId;
}

/**
 * Which complete backups of one repository can be restored from it: the full ones, and the incremental ones whose chain of
 * parents is there too, down to a full one. Pure.
 */
export function wholeChains<Backup extends Complete>(
  backups: readonly Backup[],
): { readonly whole: readonly Backup[]; readonly broken: readonly BrokenChain[] } {
  const known = new Map<BackupId, Backup>(backups.map((backup) => [backup.id, backup]));
  const broken: BrokenChain[] = [];
  // Found once for each, however long the chains are.
  const missing = new Map<BackupId, BackupId | undefined>();
  const missingOf = (backup: Backup): BackupId | undefined => {
    const path: Backup[] = [];
    let found: BackupId | undefined;
    for (let one = backup; ;) {
      if (missing.has(one.id)) {
        found = missing.get(one.id);
        break;
      }
      path.push(one);
      const id = one.facts.parent;
      if (id === undefined) break;
      const parent = known.get(id);
      if (parent === undefined || !buildsOn(one.facts, parent.facts)) {
        found = id;
        break;
      }
      one = parent;
    }
    for (const { id } of path) missing.set(id, found);
    return found;
  };
  const whole = backups.filter((backup) => {
    const gone = missingOf(backup);
    if (gone !== undefined) broken.push({ id: backup.id, missing: gone });
    return gone === undefined;
  });
  return { whole, broken };
}

/** The backup, its parent, and so on down to the full one, as far as they are among `backups`. Pure. */
export function chainOf<Backup extends Complete>(backup: Backup, backups: readonly Backup[]): readonly Backup[] {
  const known = new Map<BackupId, Backup>(backups.map((one) => [one.id, one]));
  const chain = [backup];
  for (let one: Backup | undefined = backup; one.facts.parent !== undefined;) {
    const parent: Backup | undefined = known.get(one.facts.parent);
    if (parent === undefined || !buildsOn(one.facts, parent.facts)) break;
    chain.push(parent);
    one = parent;
  }
  return chain;
}

/**
 * The backups that are wanted and all that they build on, in the order given, but a parent always before what builds on it.
 * Pure.
 * @param all among which the parents are looked for
 */
export function withParents<Backup>(
  all: readonly Backup[],
  wanted: readonly Backup[],
  of: (backup: Backup) => { readonly id: BackupId; readonly parent: BackupId | undefined },
): readonly Backup[] {
  const waiting = new Map<BackupId, Backup>(all.map((backup) => [of(backup).id, backup]));
  const ordered: Backup[] = [];
  for (const backup of wanted) {
    const path: Backup[] = [];
    for (let next: Backup | undefined = backup; next !== undefined;) {
      const { id, parent } = of(next);
      // Taken off before its parent is looked for: a circle, which nobody writes, ends here.
      if (!waiting.delete(id)) break;
      path.push(next);
      next = parent === undefined ? undefined : waiting.get(parent);
    }
    ordered.push(...path.reverse());
  }
  return ordered;
}

/**
 * Whether one can be an increment of the other. The server lets an incremental backup begin only where the one before has
 * ended (PrepareForIncrementalBackup), so no chain is a circle.
 */
export function buildsOn(child: BackupFacts, parent: BackupFacts): boolean {
  return (
    child.identity.systemIdentifier === parent.identity.systemIdentifier &&
    child.identity.majorVersion === parent.identity.majorVersion &&
    child.identity.segmentBytes === parent.identity.segmentBytes &&
    parent.timeline <= child.timeline &&
    parent.stopLsn <= child.startLsn
  );
}
