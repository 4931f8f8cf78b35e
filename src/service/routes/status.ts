import { Type } from '../../typebox.ts';
import { scriptConfig } from '../../config/script-config.ts';
import { Ping, Status } from '../api.ts';
import { clusterStatus } from '../answers/status.ts';
import type { Server } from '../http-server.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const ClusterQuery = Type.Object({ cluster: Type.Optional(Type.String({ maxLength: 100 })) });

export function statusRoutes(server: Server, rooms: ServiceRooms): void {
  const { deps, startedAt } = rooms;
  server.get('/v1/ping', { schema: { response: { 200: Ping } } }, () => ({
    version: deps.version,
    pid: process.pid,
    startedAt: startedAt.toISOString(),
    clusters: [...rooms.clusters.keys()],
  }));
  server.get<{ Querystring: { cluster?: string } }>(
    '/v1/status',
    { schema: { querystring: ClusterQuery, response: { 200: Status } } },
    async (request) => {
      const { cluster } = request.query;
      const chosen = cluster === undefined ? [...rooms.clusters.values()] : [clusterRoom(rooms, cluster)];
      const clusters = await Promise.all(chosen.map((room) => clusterStatus(deps, rooms.jobs, room)));
      return { version: deps.version, catalogRebuild: rooms.rebuild?.job ?? null, clusters };
    },
  );
  server.get<{ Params: { cluster: string } }>(
    '/v1/clusters/:cluster/script-config',
    { schema: { params: ClusterParams } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const text = scriptConfig(room.config, deps.config.service.socket, room.scriptConfigPath);
      return await reply.type('text/plain').send(text);
    },
  );
}
