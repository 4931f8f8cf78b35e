import { Type } from '../../typebox.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { inspection } from '../answers/inspection.ts';
import type { Server } from '../http-server.ts';
import { Inspection, WalPlaces } from '../inspection-document.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const WalParams = Type.Object({ cluster: Type.String({ maxLength: 100 }), name: Type.String({ maxLength: 200 }) });

/** What `walden check` asks. */
export function inspectionRoutes(server: Server, rooms: ServiceRooms): void {
  const { deps } = rooms;
  server.get<{ Params: { readonly cluster: string } }>(
    '/v1/clusters/:cluster/inspection',
    { schema: { params: ClusterParams, response: { 200: Inspection } } },
    async (request) => await inspection(deps, clusterRoom(rooms, request.params.cluster)),
  );
  server.get<{ Params: { readonly cluster: string; readonly name: string } }>(
    '/v1/clusters/:cluster/wal/:name',
    { schema: { params: WalParams, response: { 200: WalPlaces } } },
    async (request) => {
      const { config } = clusterRoom(rooms, request.params.cluster);
      const { name } = parseWalName(request.params.name);
      const found = await Promise.all(
        config.repositories.map((repository) => deps.catalog.walFile(repository, config.name, name)),
      );
      return { name, repositories: found.flatMap((file) => (file === undefined ? [] : [file.repository])) };
    },
  );
}
