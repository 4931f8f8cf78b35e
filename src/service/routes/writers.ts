import { Type } from '../../typebox.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import { timelineId } from '../../postgres/lsn.ts';
import { parseNodeText } from '../../wal/wal-node.ts';
import { writerList } from '../answers/writers.ts';
import { AcceptWriterRequest, WriterList } from '../api-writers.ts';
import type { Server } from '../http-server.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
interface WritersRoute {
  readonly Params: { readonly cluster: string };
}

/** Which node writes which timeline, and an operator's word on it. */
export function writerRoutes(server: Server, rooms: ServiceRooms): void {
  const { catalog, clock } = rooms.deps;
  server.get<WritersRoute>(
    '/v1/clusters/:cluster/writers',
    { schema: { params: ClusterParams, response: { 200: WriterList } } },
    async (request) => await writerList(catalog, clusterRoom(rooms, request.params.cluster).config.name, clock.now()),
  );
  server.post<WritersRoute & { Body: AcceptWriterRequest }>(
    '/v1/clusters/:cluster/writers',
    { schema: { params: ClusterParams, body: AcceptWriterRequest, response: { 200: WriterList } } },
    async (request) => {
      const cluster = clusterRoom(rooms, request.params.cluster).config.name;
      const [timeline, node] = [timelineId(request.body.timeline), parseNodeText(request.body.node)];
      await catalog.writers.take({ cluster, timeline, node, since: microsFromDate(clock.now()) });
      return await writerList(catalog, cluster, clock.now());
    },
  );
}
