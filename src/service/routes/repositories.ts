import { join } from 'node:path';
import { Type } from '../../typebox.ts';
import { repairRepository } from '../../copy/repair-repository.ts';
import { syncRepository } from '../../copy/sync-repository.ts';
import { WaldenError } from '../../errors.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseTargetTime } from '../../restore/target-time.ts';
import { jobDocument } from '../answers/documents.ts';
import { JobDocument, RepairRequest, SyncRequest } from '../api.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { Server } from '../http-server.ts';
import { assertCatalogWhole, clusterRoom, rebuildEnded, type ServiceRooms } from '../rooms.ts';

const RepositoryParams = Type.Object({ repository: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });

/** Repositories as such: copying one into another, and putting one right by the others. */
export function repositoryRoutes(server: Server, rooms: ServiceRooms): void {
  const { deps, jobs } = rooms;
  const { catalog, pool, clock, instance } = deps;
  const stagingDirectory = join(deps.config.service.stateDirectory, 'staging');
  const copyDeps = { catalog, pool, clock, instance, stagingDirectory };

  server.post<{ Body: SyncRequest }>(
    '/v1/repositories/sync',
    { schema: { body: SyncRequest, response: { 202: Started } } },
    async (request, reply) => {
      const { body } = request;
      const way = { from: repositoryNamed(rooms, body.from), to: repositoryNamed(rooms, body.to) };
      if (way.from === way.to) throw new WaldenError('USAGE', 'a repository cannot be copied into itself');
      const clusters = roomsOf(rooms, body.cluster).map(({ config }) => config.name);
      const now = microsFromDate(clock.now());
      const since = body.since === undefined ? undefined : parseTargetTime(body.since, now).time;
      const job = await jobs.start('repository-sync', undefined, async (controls) => {
        await rebuildEnded(rooms, controls.signal);
        return await syncRepository(copyDeps, { ...way, clusters, since }, controls);
      });
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );

  server.post<{ Params: { readonly repository: string }; Body: RepairRequest }>(
    '/v1/repositories/:repository/repair',
    { schema: { params: RepositoryParams, body: RepairRequest, response: { 202: Started } } },
    async (request, reply) => {
      assertCatalogWhole(rooms);
      const target = repositoryNamed(rooms, request.params.repository);
      const sources = [...deps.repositories.values()].filter((other) => other !== target);
      const chosen = roomsOf(rooms, request.body.cluster);
      const job = await jobs.start('repository-repair', undefined, async (controls) => {
        const clusters = [];
        for (const { config } of chosen) {
          const identity = await catalog.clusterIdentity(config.name);
          if (identity !== undefined) clusters.push({ cluster: config.name, identity });
        }
        return await repairRepository(copyDeps, { target, sources, clusters }, controls);
      });
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
}

/** @throws NOT_FOUND naming the repositories there are. */
function repositoryNamed({ deps }: ServiceRooms, wanted: string): Repository {
  const found = [...deps.repositories.values()].find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw new WaldenError('NOT_FOUND', `there is no repository ${JSON.stringify(wanted)}`, {
    hint: `the configuration has: ${[...deps.repositories.keys()].join(', ')}`,
  });
}

function roomsOf(rooms: ServiceRooms, cluster: string | undefined): readonly ClusterRoom[] {
  return cluster === undefined ? [...rooms.clusters.values()] : [clusterRoom(rooms, cluster)];
}
