import { Type } from 'typebox';
import { WaldenError } from '../../errors.ts';
import type { WalReceiver } from '../../wal/receive/receiver.ts';
import { ReceiverAnswer } from '../api.ts';
import { receiverDocument } from '../answers/receiver.ts';
import type { Server } from '../http-server.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';

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
      const { receiver } = room;
      if (receiver === undefined) {
        throw new WaldenError('NOT_FOUND', `cluster ${cluster} receives no WAL`, {
          hint: `set receive = true in [cluster.${cluster}]; see docs/receiver.md`,
        });
      }
      const kept = await act(receiver, action);
      const document = receiverDocument(room, rooms.deps.clock.now());
      if (document === null) throw new WaldenError('INTERNAL', `the receiver of ${cluster} is gone`);
      return { cluster, receiver: document, kept: [...kept] };
    },
  );
}

async function act(receiver: WalReceiver, action: ReceiverRequest['action']): Promise<readonly string[]> {
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
