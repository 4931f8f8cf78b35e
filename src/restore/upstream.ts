import type { ClusterIdentity } from '../../catalog/catalog.ts';
import type { HostList } from '../postgres/conninfo.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { ReplicationConnection } from '../postgres/replication/connection.ts';
import { onFirstServer } from '../postgres/replication/first-server.ts';
import { assertOwnServer, identifyServer } from '../postgres/replication/server-identity.ts';
import { parseTimelineHistory } from '../postgres/timeline-history.ts';
import { pathOf, type PathStep } from '../wal/path-coverage.ts';

export type UpstreamHost = HostList['hosts'][number];

/** The server that a standby is to follow, as it was found. */
export interface Upstream {
  readonly host: UpstreamHost;
  readonly timeline: TimelineId;
  /** The timelines that led to it. */
  readonly path: readonly PathStep[];
  /** Up to where its WAL is durable there. */
  readonly flushed: Lsn;
  readonly port: number;
  /** As its setting says; its copy listens there too, unless it is told otherwise. */
  readonly listenAddresses: string;
}

/**
 * Finds the first of these hosts that will do, and that it is of the cluster. Changes nothing there.
 * @throws SERVER_MISMATCH; SERVER_UNREACHABLE, SERVER_QUERY
 */
export async function findUpstream(hosts: HostList, identity: ClusterIdentity): Promise<Upstream> {
  return await onFirstServer(hosts, async ({ connection, host }) => await lookAt(connection, host, identity));
}

/** Over a connection of its own, which is closed after `work`. @throws as `work`; SERVER_UNREACHABLE */
export async function onUpstream<Result>(
  host: UpstreamHost,
  work: (connection: ReplicationConnection) => Promise<Result>,
): Promise<Result> {
  const connection = await ReplicationConnection.open({ ...host, application_name: 'walden' });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

async function lookAt(
  connection: ReplicationConnection,
  host: UpstreamHost,
  identity: ClusterIdentity,
): Promise<Upstream> {
  const system = await identifyServer(connection);
  assertOwnServer(system, identity);
  const { timeline, flushed } = system;
  const content = timeline === 1 ? undefined : await connection.timelineHistory(timeline);
  const ancestry =
    content === undefined ? { timeline, ancestors: [] } : parseTimelineHistory(content.toString('utf8'), timeline);
  return {
    ...{ host, timeline, flushed },
    path: pathOf(ancestry),
    port: Number(await connection.show('port')),
    listenAddresses: await connection.show('listen_addresses'),
  };
}
