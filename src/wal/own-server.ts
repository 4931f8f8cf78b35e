import type { ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import type { IdentifiedSystem, ReplicationConnection } from '../postgres/replication/connection.ts';
import { parseSegmentSize } from '../postgres/wal-name.ts';

/** Refuses a server that is none of the cluster's. @throws SERVER_MISMATCH, and as the connection */
export async function assertOwnServer(
  { cluster, identity }: { readonly cluster: ClusterName; readonly identity: ClusterIdentity },
  connection: ReplicationConnection,
  system: IdentifiedSystem,
): Promise<void> {
  const refuse = (found: string, expected: string): WaldenError =>
    new WaldenError('SERVER_MISMATCH', `the server has ${found}, cluster ${cluster} has ${expected}`, {
      hint: 'nothing was done; check the connection string, and the name of the cluster',
    });
  if (system.systemIdentifier !== identity.systemIdentifier) {
    throw refuse(`system identifier ${system.systemIdentifier}`, identity.systemIdentifier);
  }
  const major = Math.floor(Number(await connection.show('server_version_num')) / 10_000);
  if (major !== identity.majorVersion) throw refuse(`version ${major}`, identity.majorVersion.toString());
  // pg_resetwal changes it, and leaves the system identifier.
  const size = parseSegmentSize(await connection.show('wal_segment_size'));
  if (size !== identity.segmentBytes) throw refuse(`segments of ${size} bytes`, identity.segmentBytes.toString());
}
