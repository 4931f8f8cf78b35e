import { type Static, Type } from '../../typebox.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import { parseTargetTime } from '../../restore/target-time.ts';
import { eventDocument } from '../answers/documents.ts';
import type { Server } from '../http-server.ts';
import { clusterRoom, type ServiceRooms } from '../rooms.ts';
import { EventList } from '../watch-api.ts';

const LISTED_EVENTS = 100;
const EventsQuery = Type.Object({
  cluster: Type.Optional(Type.String({ maxLength: 100 })),
  since: Type.Optional(Type.String({ maxLength: 200, description: 'a moment, as an operator writes it' })),
  after: Type.Optional(
    Type.String({ pattern: '^[0-9]{1,15}$', description: 'an id: only later ones, the oldest first' }),
  ),
  limit: Type.Optional(
    Type.String({ pattern: '^[1-9][0-9]{0,4}$', description: 'the newest so many; by default 100' }),
  ),
});

export function eventRoutes(server: Server, rooms: ServiceRooms): void {
  const { catalog, clock } = rooms.deps;
  server.get<{ Querystring: Static<typeof EventsQuery> }>(
    '/v1/events',
    { schema: { querystring: EventsQuery, response: { 200: EventList } } },
    async (request) => {
      const { cluster, since, after, limit } = request.query;
      const events = await catalog.events({
        cluster: cluster === undefined ? undefined : clusterRoom(rooms, cluster).config.name,
        since: since === undefined ? undefined : parseTargetTime(since, microsFromDate(clock.now())).time,
        after: after === undefined ? undefined : Number(after),
        limit: limit === undefined ? LISTED_EVENTS : Number(limit),
      });
      return { events: events.map(eventDocument) };
    },
  );
}
