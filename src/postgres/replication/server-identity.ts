import { WaldenError } from '../../errors.ts';
import type { SystemIdentifier } from '../lsn.ts';
import { parseSegmentSize, type SegmentBytes } from '../wal-name.ts';
import type { IdentifiedSystem, ReplicationConnection } from './connection.ts';

export interface ServerIdentity {
  readonly systemIdentifier: SystemIdentifier;
  /** 13, 14, … */
  readonly majorVersion: number;
  /** pg_resetwal changes it, and leaves the system identifier. */
  readonly segmentBytes: SegmentBytes;
}

export interface IdentifiedServer extends IdentifiedSystem, ServerIdentity {
  /** Like 150018. */
  readonly serverVersion: number;
}

/** Whose server this is. @throws SERVER_QUERY, SERVER_UNREACHABLE */
export async function identifyServer(connection: ReplicationConnection): Promise<IdentifiedServer> {
  const system = await connection.identifySystem();
  const serverVersion = Number(await connection.show('server_version_num'));
  const segmentBytes = parseSegmentSize(await connection.show('wal_segment_size'));
  return { ...system, serverVersion, majorVersion: Math.floor(serverVersion / 10_000), segmentBytes };
}

/** @throws SERVER_MISMATCH unless the server is of this cluster */
export function assertOwnServer(found: ServerIdentity, expected: ServerIdentity): void {
  const refuse = (theirs: string, ours: string): WaldenError =>
    new WaldenError('SERVER_MISMATCH', `the server has ${theirs}, and this cluster has ${ours}`, {
      hint: 'check replication_conninfo, or else conninfo, and the name of the cluster',
    });
  if (found.systemIdentifier !== expected.systemIdentifier) {
    throw refuse(`system identifier ${found.systemIdentifier}`, expected.systemIdentifier);
  }
  if (found.majorVersion !== expected.majorVersion) {
    throw refuse(`version ${found.majorVersion}`, `${expected.majorVersion}`);
  }
  if (found.segmentBytes !== expected.segmentBytes) {
    throw refuse(`segments of ${found.segmentBytes} bytes`, `${expected.segmentBytes}`);
  }
}
