import { type Static, Type } from '../../typebox.ts';
import { JobDocument } from '../api.ts';
import { jobDocument, upcomingDocument } from '../answers/documents.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';
import type { Server } from '../http-server.ts';
import type { Scheduler } from '../schedule/scheduler.ts';
import { startCatalogRebuild } from '../start-catalog-rebuild.ts';
import { JobList } from '../watch-api.ts';

const JobParams = Type.Object({ id: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });
const LISTED_JOBS = 100;
const JobQuery = Type.Object({
  cluster: Type.Optional(Type.String({ maxLength: 100 })),
  limit: Type.Optional(
    Type.String({ pattern: '^[1-9][0-9]{0,4}$', description: 'the newest so many; by default 100' }),
  ),
});

export function jobRoutes(server: Server, rooms: ServiceRooms, scheduler: Scheduler): void {
  const { jobs } = rooms;
  server.get<{ Querystring: Static<typeof JobQuery> }>(
    '/v1/jobs',
    { schema: { querystring: JobQuery, response: { 200: JobList } } },
    async (request) => {
      const { cluster, limit } = request.query;
      const name = cluster === undefined ? undefined : clusterRoom(rooms, cluster).config.name;
      const upcoming = scheduler.upcoming().filter(({ schedule }) => name === undefined || schedule.cluster === name);
      return {
        upcoming: upcoming.map(upcomingDocument),
        jobs: (await jobs.list(limit === undefined ? LISTED_JOBS : Number(limit), name)).map(jobDocument),
      };
    },
  );
  server.get<{ Params: { id: string } }>(
    '/v1/jobs/:id',
    { schema: { params: JobParams, response: { 200: JobDocument } } },
    async (request) => jobDocument(await jobs.view(request.params.id)),
  );
  server.post<{ Params: { id: string } }>(
    '/v1/jobs/:id/cancel',
    { schema: { params: JobParams, response: { 200: JobDocument } } },
    async (request) => jobDocument(await jobs.cancel(request.params.id)),
  );
  server.post('/v1/catalog/rebuild', { schema: { response: { 202: Started } } }, async (_request, reply) => {
    return await reply.code(202).send({ job: jobDocument(await startCatalogRebuild(rooms)) });
  });
}
