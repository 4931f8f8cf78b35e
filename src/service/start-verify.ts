import { WaldenError } from '../errors.ts';
import { backupId } from '../repository/names.ts';
import { verifyCluster } from '../verify/verify-cluster.ts';
import type { VerifyLimit } from '../verify/verify-deps.ts';
import type { VerifyRequest } from './api-proof.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { JobView } from './jobs.ts';
import { rebuildEnded, type ServiceRooms } from './rooms.ts';

/**
 * Starts the verification of a cluster, one at a time for each.
 * @throws USAGE, NOT_FOUND for a repository that the cluster does not have, LOCK_HELD while one runs
 */
export async function startVerify(rooms: ServiceRooms, room: ClusterRoom, request: VerifyRequest): Promise<JobView> {
  const { deps, jobs } = rooms;
  const { name } = room.config;
  const repositories =
    request.repository === undefined
      ? room.repositories
      : room.repositories.filter((repository) => repository.name === request.repository);
  if (repositories.length === 0) {
    throw new WaldenError('NOT_FOUND', `cluster ${name} has no repository ${JSON.stringify(request.repository)}`, {
      hint: `it has: ${room.repositories.map((repository) => repository.name).join(', ')}`,
    });
  }
  const backup = request.backup === undefined ? undefined : backupId(request.backup);
  const limit = limitOf(request);
  return await jobs.start('verify', name, async (controls) => {
    await rebuildEnded(rooms, controls.signal);
    const { identity } = await room.context();
    return await verifyCluster(deps, { cluster: name, identity, repositories, backup, limit }, controls);
  });
}

function limitOf({ share, bytes }: VerifyRequest): VerifyLimit | undefined {
  if (share !== undefined && bytes !== undefined) {
    throw new WaldenError('USAGE', 'a sample and a budget cannot stand together', { hint: 'name one of them' });
  }
  if (share !== undefined) return { kind: 'share', share };
  return bytes === undefined ? undefined : { kind: 'bytes', bytes };
}
