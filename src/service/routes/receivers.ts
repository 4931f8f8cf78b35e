import { Type } from '../../typebox.ts';
import { WaldenError } from '../../errors.ts';
import { FollowRequest, ReceiverAnswer, type ReceiverAnswerDocument } from '../api.ts';
import { receiverDocument } from '../answers/receiver.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { Server } from '../http-server.ts';
import type { OrderedReceiver } from '../ordered-receiver.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const ReceiverParams = Type.Object({
  cluster: Type.String({ maxLength: 100 }),
  action: Type.Union([Type.Literal('start'), Type.Literal('stop'), Type.Literal('reset')]),
});
interface ReceiverRequest {
  readonly cluster: string;
  readonly action: 'start' | 'stop' | 'reset';
}

export function receiverRoutes(server: Server, rooms: ServiceRooms): void {
  server.post<{ Params: ReceiverRequest }>(
    '/v1/clusters/:cluster/receiver/:action',
    { schema: { params: ReceiverParams, response: { 200: ReceiverAnswer } } },
    async (request) => {
      const { cluster, action } = request.params;
      const room = clusterRoom(rooms, cluster);
      return answerOf(rooms, room, await act(receivingOf(room), action));
    },
  );
  server.post<{ Params: { cluster: string }; Body: FollowRequest }>(
    '/v1/clusters/:cluster/primary',
    { schema: { params: ClusterParams, body: FollowRequest, response: { 200: ReceiverAnswer } } },
    async (request) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const { conninfo } = request.body;
      if (conninfo === null) await receivingOf(room).followConfigured();
      else await receivingOf(room).follow(conninfo);
      return answerOf(rooms, room, []);
    },
  );
}

/** @throws NOT_FOUND */
function receivingOf({ config: { name }, receiving }: ClusterRoom): OrderedReceiver {
  if (receiving !== undefined) return receiving;
  throw new WaldenError('NOT_FOUND', `cluster ${name} receives no WAL`, {
    hint: `set receive = true in [cluster.${name}]; see docs/receiver.md`,
  });
}

function answerOf(rooms: ServiceRooms, room: ClusterRoom, kept: readonly string[]): ReceiverAnswerDocument {
  const cluster = room.config.name;
  const receiver = receiverDocument(room, rooms.deps.clock.now());
  if (receiver === null) throw new WaldenError('INTERNAL', `the receiver of ${cluster} is gone`);
  return { cluster, receiver, kept: [...kept] };
}

async function act(receiver: OrderedReceiver, action: ReceiverRequest['action']): Promise<readonly string[]> {
  switch (action) {
    case 'start':
      await receiver.start();
      return [];
    case 'stop':
      await receiver.stop();
      return [];
    case 'reset':
      return await receiver.reset();
  }
}
