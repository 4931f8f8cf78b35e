import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { ClusterName } from '../../../catalog/catalog.ts';
import type { DrillCheck, DrillRecord } from '../../../catalog/proof.ts';
import { errorToDocument, toWaldenError, WaldenError } from '../../errors.ts';
import { type Lsn, parseLsn } from '../../postgres/lsn.ts';
import { type Micros, microsFromDate, parseMicros } from '../../postgres/timestamp.ts';
import { findPgCtl } from '../../restore/find-pg-ctl.ts';
import { type PlanDeps, planRestore, type RestorePlan } from '../../restore/plan.ts';
import { restoreCluster, type RestoreControls } from '../../restore/restore-cluster.ts';
import { describeTarget, parseTarget } from '../../restore/target.ts';
import type { RestoreRequest, TargetRequest } from '../../service/api.ts';
import { DrillServer } from './drill-server.ts';
import { checkSql, checkStructure, type SqlCheck } from './run-checks.ts';
import { assertRoom, makeScratch, removeScratch, type Scratch } from './scratch.ts';

/** PostgreSQL keeps about so much WAL of what it replays until its next restartpoint (max_wal_size, twice). */
const WAL_ROOM_BYTES = 2 * 1024 ** 3;
const SPARE_BYTES = 64 * 1024 ** 2;

export interface DrillOrder {
  readonly cluster: ClusterName;
  readonly target: TargetRequest;
  /** The value of restore_command, with `%f` and `%p`. */
  readonly restoreCommand: string;
  /** Where it is written down which scratch directories there are. */
  readonly registry: string;
  /** In which directory that of this drill is made. */
  readonly scratchParent: string;
  /** Where PostgreSQL's programs are; undefined: in the usual places. */
  readonly pgBin: string | undefined;
  /** Roles that the cluster may have. */
  readonly roles: readonly string[];
  readonly checks: readonly SqlCheck[];
  readonly workers: number | undefined;
}

/** What is known so far. */
interface Findings {
  plan?: RestorePlan;
  restore?: DrillRecord['restore'];
  recovery?: DrillRecord['recovery'];
  reached?: DrillRecord['reached'];
  checks: DrillCheck[];
}

/**
 * Restores a cluster for proof: into a scratch directory, started there, recovered, checked and measured; then everything is
 * thrown away, whatever came of it. The evidence goes into the catalog, also of a drill that failed, not of one that was ended.
 * @throws DRILL_FAILED: it did not recover, or a check failed; USAGE as root, or for a target or path that cannot be; NOT_FOUND
 * without PostgreSQL's programs; STORAGE_FULL; what planRestore and restoreCluster throw; INTERRUPTED
 */
export async function drill(deps: PlanDeps, order: DrillOrder, controls: RestoreControls): Promise<DrillRecord> {
  assertNotRoot();
  const { catalog, clock } = deps;
  const id = randomUUID();
  const startedAt = microsFromDate(clock.now());
  const { target } = parseTarget(order.target, startedAt);
  const findings: Findings = { checks: [] };
  let error: WaldenError | undefined;
  try {
    await work(deps, order, controls, { id, findings });
    const failed = findings.checks.find(({ outcome }) => outcome === 'failed');
    if (failed !== undefined) error = new WaldenError('DRILL_FAILED', `${failed.name}: ${failed.detail}`);
  } catch (cause) {
    // Nothing is known then, neither good nor bad.
    controls.signal.throwIfAborted();
    error = toWaldenError(cause);
  }
  const { plan, restore, recovery, reached, checks } = findings;
  const record: DrillRecord = {
    ...{ id, cluster: order.cluster, startedAt, finishedAt: microsFromDate(clock.now()) },
    outcome: error === undefined ? 'passed' : 'failed',
    target: describeTarget(target),
    source: plan && { repository: plan.repository.name, backup: plan.choice.candidate.backup.id },
    ...{ restore, recovery, reached, checks },
    error: error === undefined ? undefined : errorToDocument(error),
  };
  await catalog.proof.recordDrill(record);
  if (error !== undefined) throw error;
  return record;
}

/** PostgreSQL refuses to run as root. */
function assertNotRoot(): void {
  if (process.getuid?.() !== 0) return;
  throw new WaldenError('USAGE', 'PostgreSQL does not run as root, and a drill would start it as root', {
    hint: 'run the service as the user of PostgreSQL: User=postgres in its systemd unit',
  });
}

async function work(
  deps: PlanDeps,
  order: DrillOrder,
  controls: RestoreControls,
  { id, findings }: { readonly id: string; readonly findings: Findings },
): Promise<void> {
  const request: RestoreRequest = { target: order.target, to: '' };
  const plan = await planRestore(deps, order.cluster, request, controls.signal);
  findings.plan = plan;
  const { identity } = plan.choice.candidate.backup.facts;
  const { majorVersion } = identity;
  const pgCtl = await findPgCtl({ majorVersion, directory: order.pgBin, environment: process.env });
  const scratch = await makeScratch(order.registry, order.scratchParent, id);
  try {
    const walBytes = Number(plan.choice.to - plan.choice.from + 1n) * identity.segmentBytes;
    await assertRoom(scratch.directory, plan.restoreBytes + Math.min(walBytes, WAL_ROOM_BYTES) + SPARE_BYTES);
    const { files, bytes, seconds } = await restoreCluster(deps, restoreOrder(order, plan, scratch), controls);
    findings.restore = { files, bytes, seconds };
    const roles = [...new Set(['postgres', ...order.roles, userInfo().username])];
    const server = new DrillServer({ scratch, pgCtl, majorVersion, roles, clock: deps.clock, signal: controls.signal });
    try {
      await prove(deps, order, controls, { plan, pgCtl, scratch, server, findings });
    } finally {
      await server.stop();
    }
  } finally {
    await removeScratch(scratch.registration, id, scratch.directory);
  }
}

/** The backup that was planned with, its tablespaces beside the data directory, open for writes at the target. */
function restoreOrder(order: DrillOrder, plan: RestorePlan, { directory, dataDirectory }: Scratch) {
  const { backup } = plan.choice.candidate;
  const request: RestoreRequest = {
    target: { ...order.target, backup: backup.id },
    to: dataDirectory,
    action: 'promote',
    tablespaceMap: Object.fromEntries(
      backup.facts.tablespaces.map(({ oid, location }) => [location, join(directory, 'tablespaces', `${oid}`)]),
    ),
    ...(order.workers === undefined ? {} : { workers: order.workers }),
  };
  return { cluster: order.cluster, request, restoreCommand: order.restoreCommand };
}

async function prove(
  { clock }: PlanDeps,
  { checks }: DrillOrder,
  { signal, onProgress }: RestoreControls,
  {
    plan,
    pgCtl,
    scratch,
    server,
    findings,
  }: {
    readonly plan: RestorePlan;
    readonly pgCtl: string;
    readonly scratch: Scratch;
    readonly server: DrillServer;
    readonly findings: Findings;
  },
): Promise<void> {
  const { choice } = plan;
  const { facts } = choice.candidate.backup;
  const { segmentBytes } = facts.identity;
  const startedAt = clock.now().getTime();
  const seconds = (): number => (clock.now().getTime() - startedAt) / 1000;
  const totalBytes = Number(choice.to - choice.from + 1n) * segmentBytes;
  await server.start();
  const superuser = await server.recovered((segments) => {
    const doneBytes = Math.min(segments * segmentBytes, totalBytes);
    onProgress({ phase: 'recovery', doneBytes, totalBytes, files: segments, bytesPerSecond: doneBytes / seconds() });
  });
  const recoverySeconds = seconds();
  const { lsn, lastCommit } = await whereItEnded(server, superuser);
  findings.reached = { timeline: choice.candidate.view.timeline, lsn, lastCommit };
  findings.recovery = { walBytes: Math.max(0, Number(lsn - facts.startLsn)), seconds: recoverySeconds };
  onProgress({ phase: 'checks', doneBytes: totalBytes, totalBytes, files: 0, bytesPerSecond: 0 });
  const place = { server, superuser, pgCtl, socketDirectory: scratch.directory, signal };
  for (const check of [() => checkStructure(place), ...checks.map((one) => () => checkSql(place, one))]) {
    signal.throwIfAborted();
    findings.checks.push(await check());
  }
}

/** Both stay as they were when recovery ended (functions-admin: pg_last_wal_replay_lsn, pg_last_xact_replay_timestamp). */
async function whereItEnded(
  server: DrillServer,
  superuser: string,
): Promise<{ readonly lsn: Lsn; readonly lastCommit: Micros | undefined }> {
  const session = await server.session(superuser, 'template1');
  try {
    const [row] = await session.query(
      `select pg_last_wal_replay_lsn()::text as lsn,
         to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_commit`,
    );
    const { lsn, last_commit: lastCommit } = row ?? {};
    if (typeof lsn !== 'string') throw new WaldenError('DRILL_FAILED', 'the restored server has replayed no WAL');
    return { lsn: parseLsn(lsn), lastCommit: typeof lastCommit === 'string' ? parseMicros(lastCommit) : undefined };
  } finally {
    await session.close();
  }
}
