import { Type } from '../../typebox.ts';
import { jobDocument } from '../answers/documents.ts';
import { planClusterExpiry, startExpiry } from '../expire-cluster.ts';
import { keepBackup, releaseBackup } from '../hold-backup.ts';
import type { Server } from '../http-server.ts';
import { ExpiryPlanDocument, ExpiryPlanRequest, ExpiryStarted, HoldDocument, HoldRequest } from '../retention-api.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const BackupParams = Type.Object({ cluster: Type.String({ maxLength: 100 }), id: Type.String({ maxLength: 100 }) });
interface ClusterRoute {
  readonly Params: { readonly cluster: string };
}
interface BackupRoute {
  readonly Params: { readonly cluster: string; readonly id: string };
}

/** What is kept, and what goes. */
export function retentionRoutes(server: Server, rooms: ServiceRooms): void {
  server.post<ClusterRoute & { readonly Body: ExpiryPlanRequest }>(
    '/v1/clusters/:cluster/expiry/plan',
    { schema: { params: ClusterParams, body: ExpiryPlanRequest, response: { 200: ExpiryPlanDocument } } },
    async (request) => await planClusterExpiry(rooms, clusterRoom(rooms, request.params.cluster), request.body.at),
  );
  server.post<ClusterRoute>(
    '/v1/clusters/:cluster/expiry',
    { schema: { params: ClusterParams, response: { 202: ExpiryStarted } } },
    async (request, reply) => {
      return await reply.code(202).send({ job: jobDocument(await startExpiry(rooms, request.params.cluster)) });
    },
  );
  server.post<BackupRoute & { readonly Body: HoldRequest }>(
    '/v1/clusters/:cluster/backups/:id/keep',
    { schema: { params: BackupParams, body: HoldRequest, response: { 200: HoldDocument } } },
    async (request) => {
      const { cluster, id } = request.params;
      return await keepBackup(rooms, clusterRoom(rooms, cluster), id, request.body);
    },
  );
  server.post<BackupRoute>(
    '/v1/clusters/:cluster/backups/:id/release',
    { schema: { params: BackupParams, response: { 200: HoldDocument } } },
    async (request) => {
      const { cluster, id } = request.params;
      return await releaseBackup(rooms, clusterRoom(rooms, cluster), id);
    },
  );
}
