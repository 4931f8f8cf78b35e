import { Type } from '../../typebox.ts';
import { drillDocument, verifiedObjects } from '../answers/proof.ts';
import { jobDocument } from '../answers/documents.ts';
import { DrillRequest, JobDocument } from '../api.ts';
import { DrillList, VerificationList, VerifyRequest } from '../api-proof.ts';
import type { Server } from '../http-server.ts';
import { assertCatalogWhole, clusterRoom, type ServiceRooms } from '../rooms.ts';
import { startDrill } from '../start-drill.ts';
import { startVerify } from '../start-verify.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });
const DRILLS_SHOWN = 100;

interface ClusterRoute {
  readonly Params: { readonly cluster: string };
}

/** Verifications and drills: begin them, and what they have shown. */
export function proofRoutes(server: Server, rooms: ServiceRooms): void {
  const { catalog } = rooms.deps;
  server.post<ClusterRoute & { readonly Body: VerifyRequest }>(
    '/v1/clusters/:cluster/verifications',
    { schema: { params: ClusterParams, body: VerifyRequest, response: { 202: Started } } },
    async (request, reply) => {
      const job = await startVerify(rooms, clusterRoom(rooms, request.params.cluster), request.body);
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
  server.get<ClusterRoute>(
    '/v1/clusters/:cluster/verifications',
    { schema: { params: ClusterParams, response: { 200: VerificationList } } },
    async (request) => {
      const { name, repositories } = clusterRoom(rooms, request.params.cluster).config;
      assertCatalogWhole(rooms);
      return { cluster: name, verified: await verifiedObjects(catalog, name, repositories) };
    },
  );
  server.post<ClusterRoute & { readonly Body: DrillRequest }>(
    '/v1/clusters/:cluster/drills',
    { schema: { params: ClusterParams, body: DrillRequest, response: { 202: Started } } },
    async (request, reply) => {
      const job = await startDrill(rooms, clusterRoom(rooms, request.params.cluster), request.body);
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
  server.get<ClusterRoute>(
    '/v1/clusters/:cluster/drills',
    { schema: { params: ClusterParams, response: { 200: DrillList } } },
    async (request) => {
      const { name } = clusterRoom(rooms, request.params.cluster).config;
      return { cluster: name, drills: (await catalog.proof.drills(name, DRILLS_SHOWN)).map(drillDocument) };
    },
  );
}
