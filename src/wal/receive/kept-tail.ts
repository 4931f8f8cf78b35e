import { isWaldenError } from '../../errors.ts';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { beginAlike } from '../../platform/begin-alike.ts';
import type { WorkerPool } from '../../platform/worker-pool.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import { parseWalName, segmentNumberOfName, segmentStart, type WalFileName } from '../../postgres/wal-name.ts';
import type { TailSegment } from '../tail.ts';
import { type FilledFile, readSpooledTask } from './read-spooled-task.ts';
import type { KeptSegment, ReceiveSpool } from './receive-spool.ts';
import type { SpooledTail } from './spooled-tail.ts';

export interface KeptReading {
  readonly identity: ClusterIdentity;
  readonly pool: WorkerPool;
  readonly timeline: TimelineId;
  /** As ReadSpooledInput. */
  readonly xid?: number | undefined;
}

/**
 * What was put aside of a timeline that the receiver has left: of each segment one file. That is the one that was put aside
 * last, since it is what the server had sent at the end; or another one that begins with the same bytes and goes further.
 * @throws LOCAL_IO
 */
export async function readKeptTail(spool: ReceiveSpool, reading: KeptReading): Promise<SpooledTail> {
  const segments: TailSegment[] = [];
  const notes: string[] = [];
  const bySegment = new Map<WalFileName, KeptSegment[]>();
  for (const kept of await spool.kept()) {
    if (parseWalName(kept.segment).timeline !== reading.timeline) continue;
    bySegment.set(kept.segment, [...(bySegment.get(kept.segment) ?? []), kept]);
  }
  for (const files of bySegment.values()) {
    const walked: TailSegment[] = [];
    for (const { segment, path } of files) {
      try {
        const read = await walkKept(reading, segment, path);
        if (read !== undefined) walked.push(read);
      } catch (error) {
        if (!isWaldenError(error, 'FORMAT_INVALID', 'SERVER_MISMATCH')) throw error;
        notes.push(`${path}, which was put aside, cannot be used: ${error.message}`);
      }
    }
    const best = await furthestAgreeing(walked, reading.identity);
    if (best !== undefined) segments.push(best);
  }
  return { segments: segments.sort((a, b) => (a.name < b.name ? -1 : 1)), notes };
}

/** Makes a whole file of one, as a segment of the spool becomes one. @throws as readSpooled */
export async function fillKept(
  { keptAs, name }: Pick<TailSegment, 'keptAs' | 'name'>,
  reading: Omit<KeptReading, 'timeline'>,
  target: FilledFile,
): Promise<void> {
  if (keptAs !== undefined) await walkKept(reading, name, keptAs, target);
}

async function walkKept(
  { identity, pool, xid }: Omit<KeptReading, 'timeline'>,
  name: WalFileName,
  path: string,
  target?: FilledFile,
): Promise<TailSegment | undefined> {
  const { timeline } = parseWalName(name);
  const segment = segmentNumberOfName(name, identity.segmentBytes);
  const input = { identity, timeline, segment, xid, target, source: path, usableBytes: undefined, isWhole: false };
  const read = await pool.run(readSpooledTask, input);
  return read && { name, timeline, segment, isWhole: false, storedIn: undefined, keptAs: path, ...read };
}

/** @param walked in the order in which they were put aside */
async function furthestAgreeing(
  walked: readonly TailSegment[],
  { segmentBytes }: ClusterIdentity,
): Promise<TailSegment | undefined> {
  const last = walked.at(-1);
  if (last === undefined) return undefined;
  const bytes = Number(last.end - segmentStart(last.segment, segmentBytes));
  let best = last;
  for (const other of walked.slice(0, -1)) {
    if (other.end > best.end && (await beginAlike(last.keptAs ?? '', other.keptAs ?? '', bytes))) best = other;
  }
  return best;
}
