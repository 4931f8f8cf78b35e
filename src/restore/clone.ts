import type { ClusterName } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import { parsePrimaryConninfo } from '../postgres/conninfo.ts';
import { quotedSlot } from '../postgres/replication/wal-stream.ts';
import type { CloneRequest, RestoreRequest } from '../service/api.ts';
import { assertCanFollow } from './can-follow.ts';
import { prepareDelta, type PreparedDelta } from './delta/prepare-delta.ts';
import { checkPlaces, type PlanDeps, planRestore } from './plan.ts';
import { assertPortFree } from './port-taken.ts';
import {
  absolute,
  assertDelta,
  type Follow,
  restoreCluster,
  type RestoreControls,
  type RestoreResult,
} from './restore-cluster.ts';
import { ensureStandbySlot, standbySlotName, withSlotDropped, withSlotLeft } from './standby-slot.ts';
import { findUpstream, type Upstream } from './upstream.ts';

export interface CloneOrder {
  readonly cluster: ClusterName;
  readonly request: CloneRequest;
  /** As RestoreOrder. */
  readonly restoreCommand: string;
  /** How the configuration reaches the primary, for a request that does not say it. May hold a password. */
  readonly configuredPrimary: string | undefined;
}

/** What was done: JSON, kept as the result of the job. */
export interface CloneResult extends RestoreResult {
  readonly slot: string | null;
  /** Where it will listen. */
  readonly port: number;
  /** Where it streams from; undefined: libpq's default. */
  readonly primaryHost: string | undefined;
}

/**
 * Makes a standby that streams: a restore that follows the archive, and a slot on the primary that keeps WAL for it from
 * before the restore begins. Everything that can be refused is refused before anything is changed, here and there. The slot
 * is dropped again when the clone fails; one that a killed attempt left is found by its name and taken.
 * @throws as restoreCluster; USAGE, CONFIG_INVALID; SERVER_MISMATCH, SERVER_UNREACHABLE, SERVER_QUERY; LOCK_HELD
 */
export async function cloneCluster(deps: PlanDeps, order: CloneOrder, controls: RestoreControls): Promise<CloneResult> {
  const { cluster, restoreCommand } = order;
  const dataDirectory = absolute(order.request.to);
  assertDelta(order.request);
  const request = restoreRequestOf({ ...order.request, to: dataDirectory });
  const { conninfo, isConfigured } = primaryOf(order);
  const hosts = parsePrimaryConninfo(conninfo, isConfigured);
  const { slot: wanted, delaySeconds = 0, port } = order.request;
  const slot = wanted === null ? undefined : (wanted ?? standbySlotName(dataDirectory));
  if (slot !== undefined) assertSlotName(slot);
  const identity = await deps.catalog.clusterIdentity(cluster);
  if (identity === undefined) throw new WaldenError('NOT_FOUND', `nothing is known of cluster ${cluster} yet`);
  const upstream = await findUpstream(hosts, identity);
  const plan = await planRestore(deps, cluster, request, controls.signal);
  const target = await checkPlaces(plan, request);
  assertCanFollow(plan, upstream);
  let prepared: PreparedDelta | null | undefined;
  if (request.delta === true && target !== undefined) {
    prepared = (await prepareDelta(deps, { plan, request, target, upstream }, controls.signal)) ?? null;
  }
  if (order.request.willStart === true) {
    await assertPortFree({ port: port ?? upstream.port, addresses: upstream.listenAddresses });
  }
  const follow: Follow = { settings: { conninfo, slot, delaySeconds, port }, server: upstream, prepared };
  const work = async (): Promise<RestoreResult> =>
    await restoreCluster(deps, { cluster, request, restoreCommand, follow }, controls);
  const result = slot === undefined ? await work() : await withSlot(upstream, slot, work);
  return {
    ...result,
    slot: slot ?? null,
    port: port ?? upstream.port,
    primaryHost: upstream.host.host,
    warnings: [...result.warnings, ...configuredWarnings(upstream, isConfigured), ...portWarnings(upstream, port)],
    next: [...result.next, ...slotNotes(slot)],
  };
}

function restoreRequestOf(request: CloneRequest): RestoreRequest {
  const { to, backup, tablespaceMap, takeOver, delta, discardWal, workers } = request;
  return {
    target: { kind: 'latest', ...(backup === undefined ? {} : { backup }) },
    to,
    standby: true,
    ...(tablespaceMap === undefined ? {} : { tablespaceMap }),
    ...(takeOver === undefined ? {} : { takeOver }),
    ...(delta === undefined ? {} : { delta }),
    ...(discardWal === undefined ? {} : { discardWal }),
    ...(workers === undefined ? {} : { workers }),
  };
}

function primaryOf({ cluster, request, configuredPrimary }: CloneOrder): {
  readonly conninfo: string;
  readonly isConfigured: boolean;
} {
  if (request.primary !== undefined) return { conninfo: request.primary, isConfigured: false };
  if (configuredPrimary !== undefined) return { conninfo: configuredPrimary, isConfigured: true };
  throw new WaldenError('USAGE', `nothing says how the primary of cluster ${cluster} is reached`, {
    hint: "name it: --primary 'host=db1 user=replicator'",
  });
}

function assertSlotName(slot: string): void {
  try {
    quotedSlot(slot);
  } catch (cause) {
    throw new WaldenError('USAGE', `${JSON.stringify(slot)} cannot be the name of a replication slot`, {
      hint: 'it may have up to 63 small letters, digits and underscores',
      cause,
    });
  }
}

/** Made before the restore begins, so that no WAL is missing between the archive and the stream. */
async function withSlot<Result>(upstream: Upstream, slot: string, work: () => Promise<Result>): Promise<Result> {
  const how = await ensureStandbySlot(upstream, slot);
  try {
    return await work();
  } catch (error) {
    if (how === 'made') throw await withSlotDropped(upstream, slot, error);
    throw withSlotLeft(error, slot, `the replication slot ${slot} of an earlier attempt is still there`);
  }
}

/** What was meant for another one, and is the standby's now. */
function configuredWarnings({ host }: Upstream, isConfigured: boolean): readonly string[] {
  if (!isConfigured) return [];
  const { password, application_name: name } = host;
  return [
    ...(typeof password === 'string'
      ? ['the password of the configured connection string stands in postgresql.auto.conf now, in primary_conninfo']
      : []),
    ...(name === undefined
      ? []
      : [
          `it calls itself ${name}, as the configured connection string says: synchronous_standby_names may count on that`,
        ]),
  ];
}

/** By its socket or by the name of this host alone: whether it is here under another name is not known. */
function portWarnings({ host: { host = '' }, port }: Upstream, own: number | undefined): readonly string[] {
  const isHere = host === '' || host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host);
  if (!isHere || (own ?? port) !== port) return [];
  return [`it listens on port ${port}, as the primary on this host does: change port in postgresql.auto.conf`];
}

function slotNotes(slot: string | undefined): readonly string[] {
  if (slot === undefined) return ['no slot keeps WAL for it: while it is down it needs the archive'];
  return [
    `the slot ${slot} keeps WAL on the primary for it, also while it is down: bound that with max_slot_wal_keep_size`,
    `when it is given up, run on the primary: select pg_drop_replication_slot('${slot}')`,
  ];
}
