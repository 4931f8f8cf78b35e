import { isWaldenError } from '../../errors.ts';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import type { WorkerPool } from '../../platform/worker-pool.ts';
import { parseWalName, segmentNumberOfName, type WalFileName } from '../../postgres/wal-name.ts';
import type { TailSegment } from '../tail.ts';
import { type FilledFile, readSpooledTask } from './read-spooled-task.ts';
import type { ReceiveSpool } from './receive-spool.ts';

/** Where WAL stands that no repository may have yet. */
export interface SpooledTailSource {
  readonly spool: ReceiveSpool;
  /** How much of a segment that is being received may be used; undefined: as much as is there. */
  readonly usableBytes: (segment: WalFileName) => number | undefined;
  /** How much of it the present session has made safe: that grows with each byte, as what is usable need not. */
  readonly syncedBytes: (segment: WalFileName) => number | undefined;
}

export interface SpooledTail {
  /** In ascending order of name. */
  readonly segments: readonly TailSegment[];
  /** What cannot be used, in words. */
  readonly notes: readonly string[];
}

export interface TailReading {
  readonly identity: ClusterIdentity;
  readonly pool: WorkerPool;
  /** As ReadSpooledInput. */
  readonly xid?: number | undefined;
  /** Which of them become files; all are walked. */
  readonly targetOf?: (name: WalFileName) => Promise<FilledFile | undefined>;
}

/**
 * What the receiver's spool has: whole segments that wait for the repositories, and the one that is being received. What
 * leaves the spool while this reads is in the repositories, and known to the catalog, when it resolves; or it was put aside.
 * @throws LOCAL_IO, STORAGE_FULL (a target)
 */
export async function readSpooledTail(source: SpooledTailSource, reading: TailReading): Promise<SpooledTail> {
  const segments: TailSegment[] = [];
  const notes: string[] = [];
  for (const name of await spooledNames(source.spool)) {
    try {
      const read = await readSegment(source, reading, name);
      if (read !== undefined) segments.push(read);
    } catch (error) {
      // Half of a page, say, or a file that the repositories refuse too: what is before it can be used all the same.
      if (!isWaldenError(error, 'FORMAT_INVALID', 'SERVER_MISMATCH')) throw error;
      notes.push(`${name} in the receiver's spool cannot be used: ${error.message}`);
    }
  }
  return { segments, notes };
}

async function spooledNames(spool: ReceiveSpool): Promise<readonly WalFileName[]> {
  if (!(await spool.exists())) return [];
  // In this order: one that is finished in between is seen twice rather than never.
  const partials = (await spool.partials()).map(({ segment }) => segment);
  const finished = (await spool.finished()).filter((name) => parseWalName(name).kind === 'segment');
  return [...new Set([...partials, ...finished])].sort();
}

async function readSegment(
  { spool, usableBytes }: SpooledTailSource,
  { identity, pool, xid, targetOf }: TailReading,
  name: WalFileName,
): Promise<TailSegment | undefined> {
  const { timeline } = parseWalName(name);
  const segment = segmentNumberOfName(name, identity.segmentBytes);
  const target = await targetOf?.(name);
  const input = { identity, timeline, segment, xid, target };
  const bytes = usableBytes(name);
  if (bytes !== 0) {
    const source = spool.partialPath(name);
    const read = await pool.run(readSpooledTask, { ...input, source, usableBytes: bytes, isWhole: false });
    if (read !== undefined) return { name, timeline, segment, isWhole: false, storedIn: undefined, ...read };
  }
  const source = spool.finishedPath(name);
  const read = await pool.run(readSpooledTask, { ...input, source, usableBytes: undefined, isWhole: true });
  return read === undefined ? undefined : { name, timeline, segment, isWhole: true, storedIn: undefined, ...read };
}
