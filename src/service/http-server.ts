import { chmod, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Registry } from 'prom-client';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { sendError } from './http-errors.ts';
import { backupRoutes } from './routes/backups.ts';
import { eventRoutes } from './routes/events.ts';
import { inspectionRoutes } from './routes/inspection.ts';
import { jobRoutes } from './routes/jobs.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { proofRoutes } from './routes/proof.ts';
import { receiverRoutes } from './routes/receivers.ts';
import { repositoryRoutes } from './routes/repositories.ts';
import { retentionRoutes } from './routes/retention.ts';
import { statusRoutes } from './routes/status.ts';
import { walRepairRoutes } from './routes/wal-repair.ts';
import { walRoutes } from './routes/wal.ts';
import { writerRoutes } from './routes/writers.ts';
import type { ServiceRooms } from './rooms.ts';
import type { Scheduler } from './schedule/scheduler.ts';

export type Server = FastifyInstance;

/** A segment is at most 1 GiB. */
const MAX_BODY_BYTES = 1024 * 1024 * 1024;

/** The HTTP API over the rooms; it decides nothing itself. */
export function createHttpServer(
  rooms: ServiceRooms,
  { scheduler, metrics }: { readonly scheduler: Scheduler; readonly metrics: Registry },
  log: FastifyBaseLogger,
): Server {
  const server = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    // What is wrong with the path itself comes before any route, and would be told in the framework's own words.
    frameworkErrors: (error, request, reply) => {
      sendError(error, request, reply);
    },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
    // What routes return has the type of its schema. A serializer made from each schema would take a fifth of the time that
    // the service needs to start.
    schemaController: { compilersFactory: { buildSerializer: () => () => (document) => JSON.stringify(document) } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  server.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  server.setNotFoundHandler((request, reply) =>
    sendError(
      new WaldenError('NOT_FOUND', `there is no ${request.method} ${request.url}`, { hint: 'see /v1/openapi.json' }),
      request,
      reply,
    ),
  );
  // An uploaded WAL file goes to the disk as it comes, never into memory as a whole.
  server.addContentTypeParser('application/octet-stream', (_request, payload, done) => {
    done(null, payload);
  });
  const routes = (to: Server): void => {
    addRoutes(to, rooms, scheduler);
  };
  routes(server);
  server.get('/metrics', async (_request, reply) => {
    return await reply.type(metrics.contentType).send(await metrics.metrics());
  });
  server.get('/v1/openapi.json', () => openapiDocument(routes));
  return server;
}

function addRoutes(server: Server, rooms: ServiceRooms, scheduler: Scheduler): void {
  statusRoutes(server, rooms);
  repositoryRoutes(server, rooms);
  walRoutes(server, rooms);
  walRepairRoutes(server, rooms);
  writerRoutes(server, rooms);
  inspectionRoutes(server, rooms);
  receiverRoutes(server, rooms);
  backupRoutes(server, rooms);
  retentionRoutes(server, rooms);
  proofRoutes(server, rooms);
  nodeRoutes(server, rooms);
  jobRoutes(server, rooms, scheduler);
  eventRoutes(server, rooms);
}

/** Made on demand, by a server that serves nobody: hardly anybody asks for it, and it takes as long as all else at the start. */
async function openapiDocument(routes: (to: Server) => void): Promise<object> {
  const { default: swagger } = await import('@fastify/swagger');
  const described = fastify();
  await described.register(swagger, {
    openapi: {
      info: { title: 'Walden', description: 'Backup and WAL archive server for PostgreSQL', version: '1' },
    },
  });
  routes(described);
  await described.ready();
  return described.swagger();
}

/**
 * Listens on the unix socket, readable and writable by the owner and its group only, from the first moment on.
 * @throws LOCK_HELD when something answers there, LOCAL_IO
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (await answers(path)) {
    throw new WaldenError('LOCK_HELD', `another process listens on ${path}`, {
      hint: 'stop it, or give this service a socket of its own',
    });
  }
  await rm(path, { force: true });
  const before = process.umask(0o117);
  try {
    await server.listen({ path });
    await chmod(path, 0o660);
  } catch (cause) {
    throw new WaldenError('LOCAL_IO', `unable to listen on ${path} (${systemErrorCode(cause) ?? 'unknown'})`, {
      hint: 'the directory of the socket must exist and be writable for the user of the service',
      cause,
    });
  } finally {
    process.umask(before);
  }
}

async function answers(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createConnection({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Nobody there, or a file that a killed service left.
    probe.once('error', () => {
      resolve(false);
    });
  });
}
