import { WaldenError } from '../../errors.ts';
import { assertNoSecret, parseHostList } from '../../postgres/conninfo.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import type { ReplicationConnection } from '../../postgres/replication/connection.ts';
import { onFirstServer } from '../../postgres/replication/first-server.ts';
import { assertOwnServer, identifyServer } from '../../postgres/replication/server-identity.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import type { ArchiveContext } from '../archive-context.ts';
import { newestTimeline } from '../newest-timeline.ts';

export interface Successor {
  readonly host: string | undefined;
  readonly timeline: TimelineId;
}

/**
 * Whether WAL of the cluster can go on from a server of this list: it is the cluster's, takes writes, and its timeline is
 * the one that was received last, or comes from it. @param received the timeline of the last session, if there was one
 * @throws USAGE for a password; CONFIG_INVALID; SERVER_MISMATCH, SERVER_UNREACHABLE, SERVER_QUERY
 */
export async function assertSuccessor(
  context: ArchiveContext,
  conninfo: string,
  received: TimelineId | undefined,
): Promise<Successor> {
  assertNoSecret(conninfo);
  return await onFirstServer(parseHostList(conninfo), async ({ connection, host }) => ({
    host: host.host,
    timeline: await timelineOfSuccessor(context, connection, received),
  }));
}

async function timelineOfSuccessor(
  context: ArchiveContext,
  connection: ReplicationConnection,
  received: TimelineId | undefined,
): Promise<TimelineId> {
  const system = await identifyServer(connection);
  assertOwnServer(system, context.identity);
  if ((await connection.show('transaction_read_only')) !== 'off') {
    throw new WaldenError('SERVER_MISMATCH', 'the server takes no writes: it is no primary', {
      hint: 'promote it first, or name the node that was promoted',
    });
  }
  const { timeline } = system;
  const newest = Math.max(await newestTimeline(context), received ?? 0);
  if (newest === 0 || newest === timeline) return timeline;
  const ancestors =
    timeline === 1
      ? []
      : parseTimelineHistory((await connection.timelineHistory(timeline)).toString('utf8'), timeline).ancestors;
  if (ancestors.some((ancestor) => ancestor.timeline === newest)) return timeline;
  throw new WaldenError(
    'SERVER_MISMATCH',
    `the server is on timeline ${timeline}, which does not come from timeline ${newest}, the last one that there is WAL of`,
    { hint: 'name the node that was promoted last' },
  );
}
