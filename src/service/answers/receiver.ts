import { formatLsn, type Lsn } from '../../postgres/lsn.ts';
import { formatMicros, microsFromDate } from '../../postgres/timestamp.ts';
import type { ReceiverDocument } from '../api.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import { momentOrNull } from './documents.ts';

/** How the receiver of a cluster is doing; null where it has none. */
export function receiverDocument({ receiving, config }: ClusterRoom, now: Date): ReceiverDocument | null {
  if (receiving === undefined || config.receive === undefined) return null;
  const { receiver, orders } = receiving;
  const status = receiver.status();
  const { state, host, slot, timeline, flushed, acknowledged, serverEnd, caughtUpAt, failure, gap } = status;
  const lagBytes = distance(flushed, serverEnd);
  return {
    ...{ state, slot, host: host ?? null, timeline: timeline ?? null, acknowledge: config.receive.acknowledge },
    receivedLsn: lsnOrNull(status.received),
    flushedLsn: lsnOrNull(flushed),
    acknowledgedLsn: lsnOrNull(acknowledged),
    serverLsn: lsnOrNull(serverEnd),
    lagBytes,
    lagSeconds:
      lagBytes === 0 ? 0 : caughtUpAt === undefined ? null : Math.max(0, microsFromDate(now) - caughtUpAt) / 1_000_000,
    retainedBytes: distance(acknowledged, serverEnd),
    waitingFiles: status.waitingFiles,
    failure: failure === undefined ? null : { error: { ...failure.error }, since: formatMicros(failure.since) },
    stoppedAt: momentOrNull(orders.stoppedAt),
    follows:
      orders.follows === undefined
        ? null
        : { conninfo: orders.follows.conninfo, since: formatMicros(orders.follows.since) },
    gap: gap === undefined ? null : { first: gap.first, last: gap.last, noticedAt: formatMicros(gap.at) },
  };
}

function lsnOrNull(position: Lsn | undefined): string | null {
  return position === undefined ? null : formatLsn(position);
}

/** A server tells where its WAL ends after it has sent more, now and then: nothing is behind then. */
function distance(from: Lsn | undefined, to: Lsn | undefined): number | null {
  if (from === undefined || to === undefined) return null;
  return to > from ? Number(to - from) : 0;
}
