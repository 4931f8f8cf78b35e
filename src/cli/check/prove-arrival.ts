import { toWaldenError } from '../../errors.ts';
import { lsn, parseLsn, timelineId } from '../../postgres/lsn.ts';
import type { Session } from '../../postgres/session.ts';
import { parseSegmentSize, segmentName, segmentNumber } from '../../postgres/wal-name.ts';
import type { WalPlacesDocument } from '../../service/inspection-document.ts';
import { clusterPath } from '../api-paths.ts';
import type { Arrival } from './facts.ts';
import type { GatherOrder } from './gather.ts';

const POLL_MS = 200;
const ASK_SECONDS = 20;

/**
 * Ends the segment that is being written, and waits until that very segment is in every repository that must have it.
 * @throws SERVER_QUERY, SERVER_UNREACHABLE, INTERRUPTED
 */
export async function proveArrival(session: Session, order: GatherOrder): Promise<Arrival> {
  const { cluster, client, clock, timeoutSeconds, signal } = order;
  const segment = await switchSegment(session);
  const start = clock.now().getTime();
  const seconds = (): number => (clock.now().getTime() - start) / 1000;
  for (;;) {
    signal.throwIfAborted();
    let missingIn: readonly string[];
    try {
      const path = clusterPath(cluster.name, 'wal', segment);
      const { repositories } = await client.get<WalPlacesDocument>(path, { deadlineSeconds: ASK_SECONDS, signal });
      missingIn = cluster.required.filter((name) => !repositories.includes(name));
    } catch (error) {
      signal.throwIfAborted();
      return { segment, seconds: seconds(), missingIn: cluster.required, error: toWaldenError(error) };
    }
    if (missingIn.length === 0 || seconds() >= timeoutSeconds) {
      return { segment, seconds: seconds(), missingIn, error: undefined };
    }
    await clock.sleep(POLL_MS, signal);
  }
}

/** A switch at the very start of a segment does nothing: so something is written before it. */
async function switchSegment(session: Session): Promise<string> {
  await session.query("select pg_catalog.pg_logical_emit_message(false, 'walden', 'check')");
  const [row = {}] = await session.query(
    `select switched::text as end, pg_catalog.left(pg_catalog.pg_walfile_name(switched), 8) as timeline,
            pg_catalog.current_setting('wal_segment_size') as size
       from pg_catalog.pg_switch_wal() as switched`,
  );
  const size = parseSegmentSize(String(row['size']));
  // What pg_walfile_name says of the very end of a segment depends on the version.
  const last = lsn(parseLsn(String(row['end'])) - 1n);
  return segmentName(timelineId(Number.parseInt(String(row['timeline']), 16)), segmentNumber(last, size), size);
}
