import type { SegmentRun } from '../../../catalog/catalog.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import type { WaldenError } from '../../errors.ts';
import type { Judged } from './node-history.ts';

/** A history file as a node has it. */
export interface NodeHistoryFile {
  readonly timeline: TimelineId;
  readonly content: Buffer;
}

/** Told what a source does not have, and why. */
export type Lacks = (run: SegmentRun, reason: string) => void;

/** Told each segment that a source has, as a file that is there until this resolves. Ascending in one run. */
export type TakeSegment = (segment: bigint, path: string) => Promise<void>;

/** One node that WAL may be fetched from, of this cluster: its system identifier, version and segment size were compared. */
export interface WalSource {
  /** For people: a host or a directory. */
  readonly name: string;
  /** Whether an operator has named it, in the configuration or in the order. */
  readonly isNamed: boolean;
  /** Whether its timeline may be the one that the cluster goes on with: it takes writes, or its own archiver has asked for that. */
  readonly isSuccessor: boolean;
  /** The timelines that it can give histories of. */
  readonly timelines: readonly TimelineId[];
  /** Undefined: it does not have it. @throws SERVER_UNREACHABLE, LOCAL_IO */
  history(timeline: TimelineId): Promise<NodeHistoryFile | undefined>;
  /** What of a run its bytes are the archive's of. */
  judge(run: SegmentRun): Judged;
  /** What of a run, which it may give, it has. @throws SERVER_UNREACHABLE, SERVER_QUERY, LOCAL_IO, INTERRUPTED */
  holds(run: SegmentRun, lacks: Lacks): Promise<readonly SegmentRun[]>;
  /** Gives what it has of a run that it may give. @throws as `holds`, and what `take` throws */
  bring(run: SegmentRun, take: TakeSegment, lacks: Lacks): Promise<void>;
}

/** A node that cannot be used, and why. */
export interface UnusableNode {
  readonly name: string;
  readonly isNamed: boolean;
  readonly error: WaldenError;
}
