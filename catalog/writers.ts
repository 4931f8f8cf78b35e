import type { ErrorDocument } from '../src/errors.ts';
import type { TimelineId } from '../src/postgres/lsn.ts';
import type { Micros } from '../src/postgres/timestamp.ts';
import type { WalFileName } from '../src/postgres/wal-name.ts';
import type { ClusterName } from './catalog.ts';

/**
 * Which node writes which timeline, and who else offers WAL of it. The repositories do not hold it: with the catalog it is
 * lost, and the next writer of a timeline is recorded anew.
 */

/** One data directory on one host, as canonical text: printable, and without two spellings of one place. */
export interface WalNode {
  readonly host: string;
  /** Absolute, without symlinks. */
  readonly dataDirectory: string;
}

export interface TimelineWriter {
  readonly cluster: ClusterName;
  readonly timeline: TimelineId;
  readonly node: WalNode;
  /** When it became the writer. */
  readonly since: Micros;
}

/** A node whose WAL is refused because another one writes the timeline. */
export interface SecondWriter {
  readonly cluster: ClusterName;
  readonly timeline: TimelineId;
  readonly node: WalNode;
  /** The file that it offered last. */
  readonly file: WalFileName;
  readonly error: ErrorDocument;
  readonly firstAt: Micros;
  readonly lastAt: Micros;
  readonly attempts: number;
}

export interface WriterCatalog {
  /** Of the timelines that have one, ascending. */
  writers(cluster: ClusterName): Promise<readonly TimelineWriter[]>;
  writer(cluster: ClusterName, timeline: TimelineId): Promise<TimelineWriter | undefined>;
  /** Makes `wanted` the writer unless there is one. @returns who is it then */
  claim(wanted: TimelineWriter): Promise<TimelineWriter>;
  /** Makes it the writer whoever was, and forgets that it was refused. */
  take(wanted: TimelineWriter): Promise<void>;

  /** Adds an attempt to what is known of this node on this timeline. */
  recordRefused(
    attempt: Omit<SecondWriter, 'firstAt' | 'lastAt' | 'attempts'> & { readonly at: Micros },
  ): Promise<void>;
  /** @returns whether there was something to forget */
  forgetRefused(cluster: ClusterName, timeline: TimelineId, node: WalNode): Promise<boolean>;
  /** Those that have not tried since then. */
  forgetQuiet(cluster: ClusterName, since: Micros): Promise<void>;
  /** Those that have tried since then, by timeline, host and directory. */
  secondWriters(cluster: ClusterName, since: Micros): Promise<readonly SecondWriter[]>;
}
