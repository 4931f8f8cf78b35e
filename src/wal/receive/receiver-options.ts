import type { ErrorDocument } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Lsn, TimelineId } from '../../postgres/lsn.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import type { WalFileName } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { WalFileSource } from '../file-source.ts';

/** When the server is told that WAL is safe: on the disk of this host, or in every repository that the cluster requires. */
export type Acknowledge = 'spool' | 'repository';

export interface ReceiverOptions {
  /** libpq's. May hold a password. */
  readonly conninfo: string;
  readonly slot: string;
  /** Over that of the conninfo. */
  readonly applicationName: string | undefined;
  readonly acknowledge: Acknowledge;
  /** Of the cluster. */
  readonly spoolDirectory: string;
  /** How much WAL may wait in the spool for the repositories before nothing more is received. */
  readonly spoolLimitBytes: number;
  /** How long the server is given to say something, before it is asked to. Three of these in silence, and it is lost. */
  readonly silenceMs: number;
}

export interface ReceiverLog {
  info(facts: Readonly<Record<string, unknown>>, message: string): void;
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
  error(facts: Readonly<Record<string, unknown>>, message: string): void;
}

export interface ReceiverDeps {
  readonly clock: Clock;
  readonly log: ReceiverLog;
  /** The cluster. Throws as long as it cannot be known; it may be while no repository can be reached. */
  readonly open: () => Promise<ArchiveContext>;
  /** Makes a file durable in every repository that the cluster requires. */
  readonly archive: (file: WalFileName, source: WalFileSource) => Promise<void>;
}

/** `waiting`: for the next attempt, because of a failure. */
export type ReceiverState = 'stopped' | 'connecting' | 'streaming' | 'waiting';

/** Segments that were lost before they could be received. */
export interface ReceiverGap {
  readonly first: string;
  readonly last: string;
  readonly at: Micros;
}

/** What an operator wants to know of a receiver. */
export interface ReceiverStatus {
  readonly state: ReceiverState;
  /** Where it is connected to. */
  readonly host: string | undefined;
  readonly slot: string;
  readonly timeline: TimelineId | undefined;
  /** What has come, what is safe on this host, and what the server was told. */
  readonly received: Lsn | undefined;
  readonly flushed: Lsn | undefined;
  readonly acknowledged: Lsn | undefined;
  /** Where the server's WAL ended when it last said so. */
  readonly serverEnd: Lsn | undefined;
  /** When everything that the server had was safe here the last time. */
  readonly caughtUpAt: Micros | undefined;
  /** Files in the spool that are not in every required repository yet. */
  readonly waitingFiles: number;
  readonly failure: { readonly error: ErrorDocument; readonly since: Micros } | undefined;
  readonly gap: ReceiverGap | undefined;
}
