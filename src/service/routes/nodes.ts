import { Type } from '../../typebox.ts';
import { AddNodeRequest, NodeAnswer, NodeList } from '../api-nodes.ts';
import type { Server } from '../http-server.ts';
import { listNodes } from '../nodes/list-nodes.ts';
import { addNode, forgetNode } from '../nodes/register-node.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const NodeParams = Type.Object({ cluster: Type.String({ maxLength: 100 }), name: Type.String({ maxLength: 100 }) });
const ClusterQuery = Type.Object({ cluster: Type.Optional(Type.String({ maxLength: 100 })) });

/** Nodes: list them as they answer now, add one, forget one. */
export function nodeRoutes(server: Server, rooms: ServiceRooms): void {
  const { deps } = rooms;
  server.get<{ Querystring: { cluster?: string } }>(
    '/v1/nodes',
    { schema: { querystring: ClusterQuery, response: { 200: NodeList } } },
    async (request) => {
      const { cluster } = request.query;
      const chosen = cluster === undefined ? [...rooms.clusters.values()] : [clusterRoom(rooms, cluster)];
      return { clusters: await Promise.all(chosen.map((room) => listNodes(deps, room))) };
    },
  );
  server.post<{ Params: { cluster: string }; Body: AddNodeRequest }>(
    '/v1/clusters/:cluster/nodes',
    { schema: { params: ClusterParams, body: AddNodeRequest, response: { 200: NodeAnswer } } },
    async (request) => await addNode(deps, clusterRoom(rooms, request.params.cluster), request.body),
  );
  server.post<{ Params: { cluster: string; name: string } }>(
    '/v1/clusters/:cluster/nodes/:name/forget',
    { schema: { params: NodeParams, response: { 200: NodeAnswer } } },
    async (request) => await forgetNode(deps, clusterRoom(rooms, request.params.cluster), request.params.name),
  );
}
