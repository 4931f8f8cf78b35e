import type { ErrorDocument } from '../src/errors.ts';
import type { Lsn, TimelineId } from '../src/postgres/lsn.ts';
import type { Micros } from '../src/postgres/timestamp.ts';
import type { WalFileName } from '../src/postgres/wal-name.ts';
import type { ObjectKey } from '../storage-drivers/driver.ts';
import type { BackupId, ClusterName, RepositoryName } from './catalog.ts';

/**
 * What was proven about the archive, when, and what was found to be bad. The repositories do not hold it: with the catalog the
 * ages, the marks and the evidence are lost, and the next verification finds them anew.
 */

/** A row of objects that are verified one after the other. */
export type VerifiedRow =
  /** Segments by their number. */
  | { readonly kind: 'wal'; readonly timeline: TimelineId }
  /** 0: manifest and commit record; 1, 2, …: the packs. */
  | { readonly kind: 'backup'; readonly backup: BackupId };

/** Objects that were read again and compared with their checksums, whatever came of it; both ends included. */
export interface VerifiedSpan {
  readonly row: VerifiedRow;
  readonly first: bigint;
  readonly last: bigint;
  /** Undefined: they are there, and were not verified yet. */
  readonly verifiedAt: Micros | undefined;
}

/** Of what a damaged object is a part. */
export type DamagedPart =
  { readonly kind: 'wal'; readonly name: WalFileName } | { readonly kind: 'backup'; readonly backup: BackupId };

/** An object that is missing, or is not what was stored. */
export interface DamagedObject {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly key: ObjectKey;
  readonly part: DamagedPart;
  readonly error: ErrorDocument;
  /** When that was seen first. */
  readonly foundAt: Micros;
}

export interface DrillCheck {
  readonly name: string;
  /** `skipped`: it could not be done here, which says nothing about the backup. */
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly detail: string;
}

/** The evidence that a drill leaves. */
export interface DrillRecord {
  readonly id: string;
  readonly cluster: ClusterName;
  readonly startedAt: Micros;
  readonly finishedAt: Micros;
  readonly outcome: 'passed' | 'failed';
  /** In words. */
  readonly target: string;
  /** What was restored; undefined where the plan failed already. */
  readonly source: { readonly repository: RepositoryName; readonly backup: BackupId } | undefined;
  readonly restore: { readonly files: number; readonly bytes: number; readonly seconds: number } | undefined;
  /** From the start of the server to the end of recovery. */
  readonly recovery: { readonly walBytes: number; readonly seconds: number } | undefined;
  /** Where recovery ended, and the last commit that it replayed. */
  readonly reached:
    { readonly timeline: TimelineId; readonly lsn: Lsn; readonly lastCommit: Micros | undefined } | undefined;
  readonly checks: readonly DrillCheck[];
  /** Why it failed. */
  readonly error: ErrorDocument | undefined;
}

export interface ProofCatalog {
  /** Over whatever was recorded of the same objects before. Spans of one moment that touch become one. */
  recordVerified(repository: RepositoryName, cluster: ClusterName, span: VerifiedSpan): Promise<void>;
  /** Ascending by row and first; no two of a row overlap. Of backups that are gone, nothing. */
  verifiedSpans(repository: RepositoryName, cluster: ClusterName): Promise<readonly VerifiedSpan[]>;

  /** An object that is marked already keeps `foundAt`. @returns whether the mark is new */
  markDamaged(object: DamagedObject): Promise<boolean>;
  /** It is right again, or gone for good. @returns whether there was a mark */
  unmarkDamaged(repository: RepositoryName, cluster: ClusterName, key: ObjectKey): Promise<boolean>;
  /** In ascending order of repository and key. */
  damagedObjects(cluster: ClusterName): Promise<readonly DamagedObject[]>;

  recordDrill(drill: DrillRecord): Promise<void>;
  /** Newest first. */
  drills(cluster: ClusterName, limit: number): Promise<readonly DrillRecord[]>;
}
