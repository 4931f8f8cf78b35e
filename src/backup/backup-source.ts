import type { BackupFacts, BackupId } from '../../catalog/catalog.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import type { BackupDeps, BackupRequest } from './backup-deps.ts';
import type { ParentBackup } from './choose-parent.ts';
import type { StoppedBackup } from './backup-mode.ts';
import type { EntryRecord } from './entry-record.ts';
import type { ProgressReport } from './progress.ts';

/** What a source is given to copy with. */
export interface CopyContext {
  readonly deps: BackupDeps;
  readonly request: BackupRequest;
  readonly id: BackupId;
  /** For staged files; removed by the caller. */
  readonly directory: string;
  /** See `PackFilesInput`. */
  readonly control: BigInt64Array<SharedArrayBuffer>;
  readonly progress: ProgressReport;
  readonly signal: AbortSignal;
}

/** What a backup is made of, but for its WAL, its manifest and its record. */
export interface CopiedCluster {
  readonly stopped: StoppedBackup;
  /** Stored in every repository. */
  readonly packs: readonly StoredObject[];
  /** Whoever has it ends it. */
  readonly entries: EntryRecord;
  readonly corrupt: BackupFacts['corruptPages'];
  readonly checksumsVerified: boolean;
  readonly tablespaces: BackupFacts['tablespaces'];
  /** What to say besides when the WAL of the backup does not come. */
  readonly walHint?: string;
}

/** Where the bytes of a backup come from: a server that was looked at and found right, on which nothing was begun yet. */
export interface OpenedSource {
  /** What it will give an increment of; undefined for a full backup. */
  readonly parent: ParentBackup | undefined;
  /**
   * From the start of the backup on the server to its last stored pack. Whatever is thrown, no worker and no transfer is
   * under way any more when this rejects.
   * @throws SERVER_*, STORAGE_*, LOCAL_IO, CHECKSUM_MISMATCH, FORMAT_INVALID, INTERRUPTED
   */
  copy(context: CopyContext): Promise<CopiedCluster>;
  /** Ends what it may have begun on the server. May be called again. */
  close(): Promise<void>;
}
