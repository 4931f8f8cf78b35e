import { Type } from 'typebox';
import { JobDocument, JobList } from '../api.ts';
import { jobDocument } from '../answers/documents.ts';
import type { ServiceRooms } from '../rooms.ts';
import type { Server } from '../http-server.ts';
import { startCatalogRebuild } from '../start-catalog-rebuild.ts';

const JobParams = Type.Object({ id: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });
const LISTED_JOBS = 100;

export function jobRoutes(server: Server, rooms: ServiceRooms): void {
  const { jobs } = rooms;
  server.get('/v1/jobs', { schema: { response: { 200: JobList } } }, async () => ({
    jobs: (await jobs.list(LISTED_JOBS)).map(jobDocument),
  }));
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
