import { Type } from '../../typebox.ts';
import { jobDocument } from '../answers/documents.ts';
import { JobDocument } from '../api.ts';
import type { Server } from '../http-server.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';
import { startWalRepair } from '../start-wal-repair.ts';
import { WalRepairRequest } from '../wal-repair-api.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });

export function walRepairRoutes(server: Server, rooms: ServiceRooms): void {
  server.post<{ Params: { readonly cluster: string }; Body: WalRepairRequest }>(
    '/v1/clusters/:cluster/wal/repair',
    { schema: { params: ClusterParams, body: WalRepairRequest, response: { 202: Started } } },
    async (request, reply) => {
      const job = await startWalRepair(rooms, clusterRoom(rooms, request.params.cluster), request.body);
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
}
