import type { ProofCatalog } from '../../catalog/proof.ts';
import type { BackupRecord, Catalog, JobRecord, WalRange } from '../../catalog/catalog.ts';

/** Only what a restore asks of the catalog, with fixed answers. */
export function stubCatalog(known: {
  readonly backups: readonly BackupRecord[];
  readonly ranges: readonly WalRange[];
  readonly jobs?: readonly JobRecord[];
  readonly answers?: Partial<Catalog>;
}): Catalog {
  const answers: Partial<Catalog> = {
    clusterIdentity: () => Promise.resolve(known.backups[0]?.facts?.identity),
    backups: () => Promise.resolve(known.backups),
    walRanges: () => Promise.resolve(known.ranges),
    timelineHistories: () => Promise.resolve([]),
    commitBounds: () => Promise.resolve({ first: undefined, last: undefined }),
    expired: () => Promise.resolve({ backups: [], wal: [] }),
    jobs: () => Promise.resolve(known.jobs ?? []),
    proof: {
      damagedObjects: () => Promise.resolve([]),
      drills: () => Promise.resolve([]),
    } as Partial<ProofCatalog> as ProofCatalog,
    ...known.answers,
  };
  return answers as Catalog;
}
