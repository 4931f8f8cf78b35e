import type { ErrorDocument } from '../../errors.ts';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import type { BackupPosition, ServerTablespace } from '../../postgres/replication/base-backup-messages.ts';
import type { BaseBackupOptions } from '../../postgres/replication/base-backup-command.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import type { FilledUnit } from './unit.ts';
import type { KeptFile } from './unpacker.ts';

/** What the thread that reads a base backup from the server is told at its start, and what passes to and fro. */

export interface ReaderSetup {
  /** May hold a password. */
  readonly conninfo: string;
  /** Which of its hosts. */
  readonly hostIndex: number;
  readonly identity: ClusterIdentity;
  readonly options: BaseBackupOptions;
  /** `backup_manifest` of the backup to build on, staged; undefined for a full backup. */
  readonly parentManifest: string | undefined;
  /** How long the server may send nothing once it has sent the first bytes. */
  readonly silenceMs: number;
  /** For files of its own. */
  readonly directory: string;
  /** By their numbers: for bytes, and for the text of their members. */
  readonly rooms: readonly { readonly bytes: SharedArrayBuffer; readonly text: SharedArrayBuffer }[];
  /** See PackFilesInput: bytes received are added to it. */
  readonly control: SharedArrayBuffer;
  /** Whether to give up when the server had better compress. */
  readonly watchesLink: boolean;
}

export type FromReader =
  | {
      readonly kind: 'began';
      readonly start: BackupPosition;
      readonly tablespaces: readonly ServerTablespace[];
      readonly totalBytes: number;
    }
  | { readonly kind: 'unit'; readonly unit: FilledUnit }
  /** The link is fast enough, or nobody asked: the backup will not be begun anew. */
  | { readonly kind: 'judged' }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'ended'; readonly outcome: ReaderOutcome }
  | { readonly kind: 'failed'; readonly error: ErrorDocument };

export type ToReader = { readonly kind: 'free'; readonly room: number } | { readonly kind: 'stop' };

/** `slow link`: nothing came of it, and the server had better compress. */
export type ReaderOutcome = ReceivedBackup | 'slow link';

/** A base backup that came whole, as the server's manifest says, and that the server called complete. */
export interface ReceivedBackup {
  readonly start: BackupPosition;
  readonly stop: BackupPosition;
  /** By the server's clock, after the stop; undefined when it could not be asked. */
  readonly stoppedAt: Micros | undefined;
  readonly label: KeptFile;
  readonly controlFile: KeptFile;
  /** `backup_manifest` as the server sent it. */
  readonly manifestPath: string;
  /** Whether the server found pages with a wrong checksum. */
  readonly corrupt: boolean;
}
