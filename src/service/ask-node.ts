import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import type { ClusterConfig } from '../config/config.ts';
import { readControlFile } from '../postgres/control-file.ts';
import { onFirstServer } from '../postgres/replication/first-server.ts';
import { identifyServer } from '../postgres/replication/server-identity.ts';

/**
 * Which cluster this is, as its node says: the control file in its data directory, or else the server over the replication
 * protocol. @throws FORMAT_INVALID, LOCAL_IO, SERVER_UNREACHABLE, SERVER_QUERY
 */
export async function askNode({ name, dataDirectory, backup }: ClusterConfig): Promise<ClusterIdentity> {
  if (dataDirectory !== undefined) {
    const { systemIdentifier, majorVersion, segmentBytes } = await readControlFile(dataDirectory);
    return { systemIdentifier, majorVersion, segmentBytes };
  }
  if (backup.source === 'files') throw new WaldenError('INTERNAL', `cluster ${name} has no data directory`);
  return await onFirstServer(backup.conninfo, async ({ connection }) => {
    const { systemIdentifier, majorVersion, segmentBytes } = await identifyServer(connection);
    return { systemIdentifier, majorVersion, segmentBytes };
  });
}
