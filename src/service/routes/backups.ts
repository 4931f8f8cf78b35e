import { Readable } from 'node:stream';
import { Type } from '../../typebox.ts';
import type { BackupRecord, ClusterName } from '../../../catalog/catalog.ts';
import type { BackupRequest as TakenBackup } from '../../backup/backup-deps.ts';
import { WaldenError } from '../../errors.ts';
import { backupId } from '../../repository/names.ts';
import { cloneCluster } from '../../restore/clone.ts';
import { restoreCluster } from '../../restore/restore-cluster.ts';
import { makePlan } from '../../restore/plan.ts';
import {
  BackupDocument,
  BackupList,
  BackupRequest,
  CloneRequest,
  JobDocument,
  PlanDocument,
  RestoreRequest,
} from '../api.ts';
import { backupDocuments, backupFiles, findBackup } from '../answers/backups.ts';
import { jobDocument } from '../answers/documents.ts';
import type { Server } from '../http-server.ts';
import { registerMade } from '../nodes/register-node.ts';
import { restoreCommand } from '../../config/command-line.ts';
import { primaryConninfo } from '../../config/config.ts';
import { assertCatalogWhole, byKnown, clusterRoom, rebuildBegun, type ServiceRooms } from '../rooms.ts';
import { startBackup } from '../start-backup.ts';

const ClusterParams = Type.Object({ cluster: Type.String({ maxLength: 100 }) });
const BackupParams = Type.Object({ cluster: Type.String({ maxLength: 100 }), id: Type.String({ maxLength: 100 }) });
const Started = Type.Object({ job: JobDocument });
interface ClusterRoute {
  readonly Params: { readonly cluster: string };
}
interface BackupRoute {
  readonly Params: { readonly cluster: string; readonly id: string };
}

/** Base backups: list, show, take; and giving them back: plan, restore. */
export function backupRoutes(server: Server, rooms: ServiceRooms): void {
  readingRoutes(server, rooms);
  workingRoutes(server, rooms);
}

function readingRoutes(server: Server, rooms: ServiceRooms): void {
  const { catalog } = rooms.deps;
  server.get<ClusterRoute>(
    '/v1/clusters/:cluster/backups',
    { schema: { params: ClusterParams, response: { 200: BackupList } } },
    async (request) => {
      const { name } = clusterRoom(rooms, request.params.cluster).config;
      assertCatalogWhole(rooms);
      const documentOf = await backupDocuments(rooms.deps, name);
      return { cluster: name, backups: (await catalog.backups(name)).map(documentOf) };
    },
  );
  server.get<BackupRoute>(
    '/v1/clusters/:cluster/backups/:id',
    { schema: { params: BackupParams, response: { 200: BackupDocument } } },
    async (request) => {
      const { name } = clusterRoom(rooms, request.params.cluster).config;
      const backup = await foundBackup(rooms, name, request.params.id);
      return (await backupDocuments(rooms.deps, name))(backup);
    },
  );
  server.get<BackupRoute>(
    '/v1/clusters/:cluster/backups/:id/files',
    { schema: { params: BackupParams } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const backup = await foundBackup(rooms, room.config.name, request.params.id);
      const lines = backupFiles(room.repositories, backup);
      return await reply.type('application/x-ndjson').send(Readable.from(asNdjson(lines)));
    },
  );
}

function workingRoutes(server: Server, rooms: ServiceRooms): void {
  const { deps, jobs } = rooms;
  server.post<ClusterRoute & { readonly Body: BackupRequest }>(
    '/v1/clusters/:cluster/backups',
    { schema: { params: ClusterParams, body: BackupRequest, response: { 202: Started } } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      // Here too, so that the answer says at once what is wrong.
      await room.assertWritable();
      const { workers, compressionLevel, label } = request.body;
      const job = await startBackup(rooms, room, { workers, compressionLevel, label, parent: parentOf(request.body) });
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
  server.post<ClusterRoute & { readonly Body: RestoreRequest }>(
    '/v1/clusters/:cluster/plan',
    { schema: { params: ClusterParams, body: RestoreRequest, response: { 200: PlanDocument } } },
    async (request) => {
      const room = clusterRoom(rooms, request.params.cluster);
      return await byKnown(rooms, await room.forRestore(), async (repositories, notes) => {
        const plan = await makePlan(
          { ...deps, repositories, tail: room.receiver?.tail },
          room.config.name,
          request.body,
        );
        return { ...plan, notes: [...plan.notes, ...notes] };
      });
    },
  );
  server.post<ClusterRoute & { readonly Body: RestoreRequest }>(
    '/v1/clusters/:cluster/restores',
    { schema: { params: ClusterParams, body: RestoreRequest, response: { 202: Started } } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const job = await jobs.start('restore', room.config.name, async (controls) => {
        await rebuildBegun(rooms, controls.signal);
        return await byKnown(rooms, await room.forRestore(), async (repositories, notes) => {
          const order = { request: request.body, restoreCommand: restoreCommand(room.scriptConfigPath) };
          const result = await restoreCluster(
            { ...deps, repositories, tail: room.receiver?.tail },
            { cluster: room.config.name, ...order },
            controls,
          );
          const made = { origin: 'restore', dataDirectory: result.to, port: undefined, slot: undefined } as const;
          return { ...result, notes: [...result.notes, ...notes, await registerMade(deps, room, made)] };
        });
      });
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
  server.post<ClusterRoute & { readonly Body: CloneRequest }>(
    '/v1/clusters/:cluster/clones',
    { schema: { params: ClusterParams, body: CloneRequest, response: { 202: Started } } },
    async (request, reply) => {
      const room = clusterRoom(rooms, request.params.cluster);
      const job = await jobs.start('clone', room.config.name, async (controls) => {
        await rebuildBegun(rooms, controls.signal);
        return await byKnown(rooms, await room.forRestore(), async (repositories, notes) => {
          const order = {
            cluster: room.config.name,
            request: request.body,
            restoreCommand: restoreCommand(room.scriptConfigPath),
            configuredPrimary: primaryConninfo(room.ordered),
          };
          const result = await cloneCluster({ ...deps, repositories, tail: room.receiver?.tail }, order, controls);
          const { to, port, slot } = result;
          const made = { origin: 'clone', dataDirectory: to, port, slot: slot ?? undefined } as const;
          return { ...result, notes: [...result.notes, ...notes, await registerMade(deps, room, made)] };
        });
      });
      return await reply.code(202).send({ job: jobDocument(job) });
    },
  );
}

/** @throws FORMAT_INVALID, USAGE */
function parentOf({ incremental, parent }: BackupRequest): TakenBackup['parent'] {
  if (parent === undefined) return incremental === true ? 'newest' : undefined;
  if (incremental !== false) return backupId(parent);
  throw new WaldenError('USAGE', 'a full backup has no parent');
}

/** Which one is the newest is known when all are. @throws CATALOG_INCOMPLETE, and as findBackup */
async function foundBackup(rooms: ServiceRooms, cluster: ClusterName, id: string): Promise<BackupRecord> {
  if (id === 'latest') assertCatalogWhole(rooms);
  return await byKnown(rooms, clusterRoom(rooms, cluster).repositories, () =>
    findBackup(rooms.deps.catalog, cluster, id),
  );
}

async function* asNdjson(documents: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const document of documents) yield `${JSON.stringify(document)}\n`;
}
