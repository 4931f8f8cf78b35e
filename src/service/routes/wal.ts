import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from '../../typebox.ts';
import { isOfTheSystem, localIoError, WaldenError } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { toldNode } from '../../wal/wal-node.ts';
import { WalGaps, WalList } from '../api.ts';
import { walGaps, walList } from '../answers/wal.ts';
import { sendText, wantsText } from '../http-errors.ts';
import type { Server } from '../http-server.ts';
import { assertCatalogWhole, clusterRoom, type ServiceRooms } from '../rooms.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const WalParams = Type.Object({ cluster: Type.String({ maxLength: 100 }), name: Type.String({ maxLength: 200 }) });
interface WalRoute {
  readonly Params: { readonly cluster: string; readonly name: string };
}

/** The way of WAL files in and out. The scripts of the database host call these. */
export function walRoutes(server: Server, rooms: ServiceRooms): void {
  const { catalog } = rooms.deps;

  server.post<WalRoute>(
    '/v1/clusters/:cluster/wal/:name/push',
    { schema: { params: WalParams } },
    async (request, reply) => {
      const pusher = await clusterRoom(rooms, request.params.cluster).pusher();
      await pusher.push(request.params.name);
      return done(request, reply, { name: request.params.name });
    },
  );

  server.put<WalRoute>('/v1/clusters/:cluster/wal/:name', { schema: { params: WalParams } }, async (request, reply) => {
    const room = clusterRoom(rooms, request.params.cluster);
    const { name } = parseWalName(request.params.name);
    const bearer = toldNode(request.headers);
    const upload = uploadOf(request.body);
    const { stagingDirectory } = await room.context();
    const staged = join(stagingDirectory, `upload.${randomUUID()}`);
    await mkdir(stagingDirectory, { recursive: true, mode: 0o750 });
    try {
      await pipeline(upload, createWriteStream(staged, { flags: 'wx', mode: 0o640 })).catch((error: unknown) => {
        throw isOfTheSystem(error) ? localIoError(error, `unable to stage ${name} in ${stagingDirectory}`) : error;
      });
      await (await room.pusher()).pushFrom(name, staged, bearer);
    } finally {
      await rm(staged, { force: true });
    }
    return done(request, reply, { name });
  });

  server.post<WalRoute>(
    '/v1/clusters/:cluster/wal/:name/fetch',
    { schema: { params: WalParams } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const { name } = parseWalName(request.params.name);
      const outcome = await (await room.fetcher()).fetch(name);
      if (outcome === 'absent') {
        throw new WaldenError('ARCHIVE_FILE_MISSING', `no repository of cluster ${room.config.name} has ${name}`);
      }
      return done(request, reply, { path: room.spool.prefetchedPath(name) });
    },
  );

  server.get<{ Params: { readonly cluster: string } }>(
    '/v1/clusters/:cluster/wal',
    { schema: { params: ClusterParams, response: { 200: WalList } } },
    async (request) => {
      const { config } = clusterRoom(rooms, request.params.cluster);
      assertCatalogWhole(rooms);
      return await walList(catalog, config);
    },
  );
  server.get<{ Params: { readonly cluster: string } }>(
    '/v1/clusters/:cluster/wal/gaps',
    { schema: { params: ClusterParams, response: { 200: WalGaps } } },
    async (request) => {
      const { config } = clusterRoom(rooms, request.params.cluster);
      assertCatalogWhole(rooms);
      return await walGaps(catalog, config);
    },
  );
}

/** An empty body without a type comes as nothing at all, and another type as a value. */
function uploadOf(body: unknown): Readable {
  if (body instanceof Readable) return body;
  throw new WaldenError('USAGE', 'the request carries no file', {
    hint: 'send the bytes of the WAL file as application/octet-stream',
  });
}

function done(request: FastifyRequest, reply: FastifyReply, document: Readonly<Record<string, string>>): FastifyReply {
  return wantsText(request) ? sendText(reply, 0) : reply.send(document);
}
