import type { FastifyBaseLogger } from 'fastify';
import type { Registry } from 'prom-client';
import { reconcileBackups } from '../backup/reconcile.ts';
import { errorToDocument, toWaldenError } from '../errors.ts';
import { ClusterRoom } from './cluster-room.ts';
import type { ServiceDeps } from './deps.ts';
import { sweepScratches } from '../verify/drill/scratch.ts';
import { EventLog } from './events/event-log.ts';
import { jobEvent } from './events/job-event.ts';
import { tellStart } from './events/tell-start.ts';
import { Hook } from './hooks/hook.ts';
import { createHttpServer, listenOnSocket } from './http-server.ts';
import { JobRunner } from './jobs.ts';
import { isCatalogBehind } from './lost-catalog.ts';
import { listenForScrapes, type ScrapeListener } from './metrics/listener.ts';
import { createMetrics } from './metrics/metrics.ts';
import type { CatalogRebuild, ServiceRooms } from './rooms.ts';
import { drillRegistry } from './start-drill.ts';
import { Scheduler } from './schedule/scheduler.ts';
import { startLostCatalogRebuild } from './start-catalog-rebuild.ts';
import { Watch } from './watch/watch.ts';

export interface RunningService {
  /** Ends jobs, refuses what waits, finishes what is being stored, and closes the socket. */
  stop(): Promise<void>;
}

/**
 * Starts the service. What a killed one left is put right first: jobs that cannot be running are failed, backups are
 * completed or failed by what their repository says, and a catalog that was lost is rebuilt beside the work.
 * @throws LOCK_HELD, LOCAL_IO, and what the repositories throw
 */
export async function startService(given: ServiceDeps, log: FastifyBaseLogger): Promise<RunningService> {
  let rebuild: CatalogRebuild | undefined;
  const deps: ServiceDeps = {
    ...given,
    async rebuildCatalog(signal, part) {
      const differences = await given.rebuildCatalog(signal, part);
      // Whoever asked for it: from now on the catalog knows everything.
      if (part === undefined) rebuild = undefined;
      return differences;
    },
  };
  const events = new EventLog(deps);
  const hooks = deps.config.hooks.map((hook) => new Hook(hook, { ...deps, events }));
  let scheduler: Scheduler | undefined = undefined;
  const jobs = new JobRunner({
    catalog: deps.catalog,
    clock: deps.clock,
    note: (message, facts) => {
      deps.log.warn(facts, message);
    },
    ended: async (job) => {
      const event = jobEvent(job);
      if (event !== undefined) await events.record(event);
      scheduler?.wake();
    },
  });
  await tellStart(deps, events);
  await jobs.failInterrupted();
  await sweepScratches(drillRegistry(deps.config.service.stateDirectory), deps.clock, (text) => {
    deps.log.warn({}, text);
  });
  const clusters = new Map<string, ClusterRoom>();
  for (const config of deps.config.clusters.values()) {
    const room = new ClusterRoom(deps, config);
    await room.prepare();
    clusters.set(config.name, room);
  }
  let listening = (): void => undefined;
  if (await isCatalogBehind(deps.catalog, clusters.values())) {
    deps.log.warn({}, 'the repositories hold more than the catalog knows: rebuilding it');
    // Noted before the clusters are registered: a start that dies from here on leaves the note to the next one.
    rebuild = await startLostCatalogRebuild(
      { jobs, deps },
      {
        begin: new Promise((resolve) => (listening = resolve)),
        // What the catalog does not know yet would be copied once more.
        known: (unread) => {
          for (const room of clusters.values()) room.startFillers(({ name }) => !unread.has(name));
        },
        isOver: () => rebuild === undefined,
        whole: () => (rebuild = undefined),
      },
    );
  }
  for (const room of clusters.values()) await openCluster(deps, room);
  const rooms: ServiceRooms = {
    ...{ deps, startedAt: deps.clock.now(), jobs, events, clusters },
    get rebuild() {
      return rebuild;
    },
  };
  scheduler = new Scheduler(rooms);
  const watch = new Watch(rooms);
  const metrics = createMetrics({ rooms, scheduler }, watch);
  const server = createHttpServer(rooms, { scheduler, metrics }, log);
  await listenOnSocket(server, deps.config.service.socket);
  deps.log.info({ socket: deps.config.service.socket, clusters: [...clusters.keys()] }, 'ready');
  listening();
  for (const room of clusters.values()) {
    await room.receiving?.begin();
    room.unfinished?.start();
  }
  void (rebuild?.ended ?? Promise.resolve()).then(() => {
    for (const room of clusters.values()) room.startFillers();
  });
  await scheduler.start();
  await watch.start();
  const scrapes = await listenOrSaySo(deps, metrics);
  return {
    async stop() {
      await scrapes?.close();
      await scheduler.stop();
      await watch.stop();
      await jobs.stop();
      await Promise.all([...clusters.values()].map((room) => room.stop()));
      await server.close();
      await events.record({ kind: 'service-stopped', level: 'info', message: 'the service was stopped' });
      await Promise.all(hooks.map((hook) => hook.stop()));
    },
  };
}

/** A port that is taken must not keep WAL from being archived: the socket tells the metrics all the same. */
async function listenOrSaySo({ config, log }: ServiceDeps, metrics: Registry): Promise<ScrapeListener | undefined> {
  if (config.service.metrics === undefined) return undefined;
  try {
    return await listenForScrapes(metrics, config.service.metrics);
  } catch (thrown) {
    const error = toWaldenError(thrown);
    log.error({ error: errorToDocument(error) }, `${error.message}: metrics are told on the socket only`);
    return undefined;
  }
}

async function openCluster(deps: ServiceDeps, room: ClusterRoom): Promise<void> {
  const { name } = room.config;
  await reconcileBackups(deps, name, room.repositories);
  // A cluster that is not there yet must not keep the service from serving the others.
  await room.assertWritable().catch((error: unknown) => {
    const failure = toWaldenError(error);
    deps.log.warn({ cluster: name, error: errorToDocument(failure) }, `cluster ${name}: ${failure.message}`);
  });
}
