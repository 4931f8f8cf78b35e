import type { SystemIdentifier } from '../lsn.ts';
import { parseSegmentSize, type SegmentBytes } from '../wal-name.ts';
import type { ReplicationConnection } from './connection.ts';

export interface ServerIdentity {
  readonly systemIdentifier: SystemIdentifier;
  /** 13, 14, … */
  readonly majorVersion: number;
  /** Like 150018. */
  readonly serverVersion: number;
  /** pg_resetwal changes it, and leaves the system identifier. */
  readonly segmentBytes: SegmentBytes;
}

/** Whose server this is. @throws SERVER_QUERY, SERVER_UNREACHABLE */
export async function identityOfServer(connection: ReplicationConnection): Promise<ServerIdentity> {
  const { systemIdentifier } = await connection.identifySystem();
  const serverVersion = Number(await connection.show('server_version_num'));
  const segmentBytes = parseSegmentSize(await connection.show('wal_segment_size'));
  return { systemIdentifier, serverVersion, majorVersion: Math.floor(serverVersion / 10_000), segmentBytes };
}
