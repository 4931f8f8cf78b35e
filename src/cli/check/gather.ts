import type { ClusterConfig, Config } from '../../config/config.ts';
import { toWaldenError, WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Session } from '../../postgres/session.ts';
import type { StatusDocument } from '../../service/api.ts';
import type { InspectionDocument } from '../../service/inspection-document.ts';
import { diskRooms } from '../../setup/disk-rooms.ts';
import { openClusterSession } from '../../setup/open-session.ts';
import { readServerView } from '../../setup/server-view.ts';
import { planSetup, restartNeeded } from '../../setup/set-up-cluster.ts';
import type { ApiClient } from '../api-client.ts';
import { clusterPath } from '../api-paths.ts';
import type { Arrival, CheckFacts, Gathered, ServerFacts, ServiceView } from './facts.ts';
import { proveArrival } from './prove-arrival.ts';

const SERVICE_SECONDS = 40;
const SECOND_LOOK_MS = 3_000;

export interface GatherOrder {
  readonly config: Config;
  readonly cluster: ClusterConfig;
  readonly client: ApiClient;
  readonly clock: Clock;
  /** For WAL to arrive. */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/** Asks everybody; who does not answer is told, and keeps nobody else from being asked. @throws INTERRUPTED */
export async function gather(order: GatherOrder): Promise<CheckFacts> {
  const { config, cluster, clock } = order;
  const session = await tried(() => openClusterSession(cluster));
  try {
    const service = await tried(() => askService(order));
    const server = 'error' in session ? session : await tried(() => askServer(session.value, order));
    const arrival =
      'value' in session && 'value' in server && 'value' in service
        ? await tryArrival(session.value, server.value, order)
        : undefined;
    // The archiver has worked, or failed, since.
    const after =
      arrival === undefined || 'error' in session ? server : await tried(() => askServer(session.value, order));
    const again = arrival === undefined ? await askAgain(service, order) : await tried(() => askService(order));
    order.signal.throwIfAborted();
    const rooms = 'value' in again ? again.value.inspection.rooms : await diskRooms(config, cluster);
    return {
      config: cluster,
      now: clock.now(),
      service: withLastingGaps(service, again),
      server: after,
      rooms,
      arrival,
    };
  } finally {
    if ('value' in session) await session.value.close();
  }
}

/** A segment may be missing only for the moment in which others overtake it. */
async function askAgain(service: Gathered<ServiceView>, order: GatherOrder): Promise<Gathered<ServiceView>> {
  if (!('value' in service) || service.value.status.repositories.every(({ missing = [] }) => missing.length === 0)) {
    return service;
  }
  await order.clock.sleep(SECOND_LOOK_MS, order.signal);
  return await tried(() => askService(order));
}

/** Of what is missing at the last look that which was missing at the first one. */
function withLastingGaps(first: Gathered<ServiceView>, last: Gathered<ServiceView>): Gathered<ServiceView> {
  if (!('value' in first) || !('value' in last)) return last;
  const before = first.value.status.repositories.flatMap(({ missing = [] }) => missing);
  const { status } = last.value;
  const repositories = status.repositories.map((repository) => ({
    ...repository,
    missing: (repository.missing ?? []).filter((run) =>
      // Names of one timeline sort as their segments do.
      before.some((one) => one.repository === run.repository && one.first <= run.last && run.first <= one.last),
    ),
  }));
  return { value: { ...last.value, status: { ...status, repositories } } };
}

async function tried<Value>(work: () => Promise<Value>): Promise<Gathered<Value>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: toWaldenError(error) };
  }
}

async function askService({ client, cluster, signal }: GatherOrder): Promise<ServiceView> {
  const options = { deadlineSeconds: SERVICE_SECONDS, signal };
  const path = `/v1/status?cluster=${encodeURIComponent(cluster.name)}`;
  const { version, catalogRebuild, clusters } = await client.get<StatusDocument>(path, options);
  const inspection = await client.get<InspectionDocument>(clusterPath(cluster.name, 'inspection'), options);
  const [status] = clusters;
  if (status === undefined) throw new WaldenError('INTERNAL', `the service told nothing of cluster ${cluster.name}`);
  return { version, catalogRebuild, status, inspection };
}

async function askServer(session: Session, { cluster, clock }: GatherOrder): Promise<ServerFacts> {
  const view = await readServerView(session, {
    backsUpFiles: cluster.backup.source === 'files',
    now: () => clock.now(),
  });
  const setup = await planSetup(session, cluster, { role: undefined, replace: false });
  return { ...view, setup, restart: await restartNeeded(setup, cluster) };
}

/** Never on a standby, and not where the role may not switch: other lines say that. */
async function tryArrival(session: Session, server: ServerFacts, order: GatherOrder): Promise<Arrival | undefined> {
  if (server.inRecovery || server.missingFunctions.some((name) => name.startsWith('pg_switch_wal'))) return undefined;
  return await proveArrival(session, order);
}
