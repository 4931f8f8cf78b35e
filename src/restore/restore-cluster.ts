import { isAbsolute, normalize } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { BackupFacts, ClusterName } from '../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import { formatMicros, microsFromDate } from '../postgres/timestamp.ts';
import { readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import type { RestoreRequest } from '../service/api.ts';
import { openChain } from './chain/open-chain.ts';
import { rebuildFiles } from './chain/rebuild-files.ts';
import { configureNode } from './configure-node.ts';
import { claimOldDirectory } from './delta/claim-old.ts';
import { type DeltaOutcome, DeltaWork } from './delta/delta-work.ts';
import { prepareDelta, type PreparedDelta } from './delta/prepare-delta.ts';
import { type BackupToRead, interrupted } from './in-flight.ts';
import { publishControlFile } from './places.ts';
import { OTHER_MAY_SERVE, type PlanDeps, planRestore, type RestorePlan } from './plan.ts';
import { placeTail } from './place-tail.ts';
import { planDocument } from './plan-document.ts';
import { ProgressMeter, type WorkProgress } from '../platform/progress-meter.ts';
import type { FollowedServer } from './recovery-configuration.ts';
import type { Upstream } from './upstream.ts';
import { mapTablespaces, type TablespacePlace } from './tablespaces.ts';
import {
  claimTarget,
  type MarkerFacts,
  type Owner,
  ownerFor,
  removeMarkers,
  type RestoreTarget,
} from './target-directory.ts';
import { writeFiles } from './write-files.ts';

export interface RestoreOrder {
  readonly cluster: ClusterName;
  readonly request: RestoreRequest;
  /** The value of restore_command, with `%f` and `%p`. */
  readonly restoreCommand: string;
  /** For a standby that streams. */
  readonly follow?: Follow | undefined;
}

export interface Follow {
  readonly settings: FollowedServer;
  readonly server: Pick<Upstream, 'path' | 'flushed'>;
  /** What was found of an old directory, where that was asked already; null: nothing is there. */
  readonly prepared?: PreparedDelta | null | undefined;
}

export interface RestoreControls {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: WorkProgress) => void;
}

/** What was done: JSON, kept as the result of the job. */
export interface RestoreResult {
  readonly cluster: string;
  readonly repository: string;
  readonly backup: string;
  readonly to: string;
  /** What recovery will stop at, in words. */
  readonly target: string;
  readonly timeline: number;
  /** Written. */
  readonly files: number;
  /** Of these, plain. */
  readonly bytes: number;
  /** What was kept and removed of what was there before; null: nothing was. */
  readonly delta: DeltaResult | null;
  readonly seconds: number;
  readonly tablespaces: readonly { readonly original: string; readonly location: string }[];
  readonly notes: readonly string[];
  /** What to look at before the node is started. */
  readonly warnings: readonly string[];
  /** A shell command, to be run as the user of PostgreSQL. */
  readonly startCommand: string;
  /** What to do after that, one sentence each. */
  readonly next: readonly string[];
}

export interface DeltaResult {
  readonly keptFiles: number;
  /** Plain. */
  readonly keptBytes: number;
  readonly removedFiles: number;
}

/**
 * Gives a node back: plans, refuses what cannot work before a byte is written, writes the files, the recovery settings,
 * and `global/pg_control` last. Until then the directory cannot be started, and can be begun again. With `delta` it brings
 * an old directory there, and writes what differs.
 * @throws what planRestore throws; USAGE, PATH_NOT_EMPTY, SERVER_RUNNING, LOCK_HELD; CHECKSUM_MISMATCH, FORMAT_INVALID,
 * BACKUP_INVALID; LOCAL_IO, INTERRUPTED, and the codes of a store out of reach; with `delta` what prepareDelta throws
 */
export async function restoreCluster(
  deps: PlanDeps,
  order: RestoreOrder,
  controls: RestoreControls,
): Promise<RestoreResult> {
  const dataDirectory = absolute(order.request.to);
  assertDelta(order.request);
  const troubles = new Set<string>();
  const { plan: planned, chain } = await planAndOpen(deps, order, troubles, controls.signal);
  const { backup } = chain[0];
  const plan = { ...planned, follows: order.follow?.server.path };
  const tablespaces = mapTablespaces(backup.facts.tablespaces, order.request.tablespaceMap ?? {}, dataDirectory);
  const target = { dataDirectory, tablespaceDirectories: tablespaces.map(({ location }) => location) };
  const prepared = await prepare(deps, order, planned, target, controls.signal);
  const owner = await ownerFor(dataDirectory);
  const startedAt = microsFromDate(deps.clock.now());
  if (controls.signal.aborted) throw interrupted(controls.signal);
  const facts = { cluster: order.cluster, backup: backup.start.id, startedAt: formatMicros(startedAt) };
  const release = await claim(target, facts, owner, prepared, backup);
  try {
    const place: Place = { dataDirectory, tablespaces, owner, isDelta: prepared !== undefined };
    const { files, bytes, warnings, delta } = await fill(deps, order, controls, { plan, chain }, place);
    await removeMarkers(target);
    const seconds = (microsFromDate(deps.clock.now()) - startedAt) / 1e6;
    const changed = delta === undefined ? [] : deltaWarnings(delta, prepared);
    const all = [...troublesIn(troubles), ...warnings, ...changed, ...ownerWarnings(place)];
    return { ...describe(plan, order, place), files, bytes, delta: deltaResult(delta), seconds, warnings: all };
  } finally {
    release();
  }
}

/** @throws USAGE */
export function assertDelta({ delta, discardWal }: Pick<RestoreRequest, 'delta' | 'discardWal'>): void {
  if (discardWal !== true || delta === true) return;
  throw new WaldenError('USAGE', '--discard-wal has no meaning without --delta', { hint: 'add --delta' });
}

/** @returns undefined when the directories are to be filled, not changed */
async function prepare(
  deps: PlanDeps,
  { request, follow }: RestoreOrder,
  plan: RestorePlan,
  target: RestoreTarget,
  signal: AbortSignal,
): Promise<PreparedDelta | undefined> {
  if (request.delta !== true) return undefined;
  if (follow?.prepared !== undefined) return follow.prepared ?? undefined;
  return await prepareDelta(deps, { plan, request, target, upstream: follow?.server }, signal);
}

async function claim(
  target: RestoreTarget,
  facts: MarkerFacts,
  owner: Owner | undefined,
  prepared: PreparedDelta | undefined,
  { facts: { identity } }: StoredBackup,
): Promise<() => void> {
  if (prepared === undefined) return await claimTarget(target, facts, owner);
  return await claimOldDirectory(target, facts, owner, { old: prepared.old, identity });
}

interface OpenedPlan {
  readonly plan: RestorePlan;
  /** The backup and all that it builds on, newest first. */
  readonly chain: readonly [BackupToRead, ...BackupToRead[]];
}

/** The plan, and the records of its backups read from the repository: where that fails, another repository is planned with. */
async function planAndOpen(
  deps: PlanDeps,
  { cluster, request }: RestoreOrder,
  troubles: Set<string>,
  signal: AbortSignal,
): Promise<OpenedPlan> {
  const failures: WaldenError[] = [];
  for (let { repositories } = deps; ;) {
    const plan = await planRestore({ ...deps, repositories }, cluster, request, signal).catch((error: unknown) => {
      throw failures[0] ?? error;
    });
    try {
      const { candidate } = plan.choice;
      const backup = await readBackupRecord(plan.repository, cluster, candidate.backup.id, signal);
      assertAsPlanned(plan.repository.name, backup, candidate.backup.facts);
      const place = { planned: plan.repository, ...deps, note: (text: string): void => void troubles.add(text) };
      const [newest, ...parents] = await openChain(backup, place, signal);
      if (newest === undefined) throw new WaldenError('INTERNAL', 'a chain without backups');
      const notes = [...failures.map(({ message }) => message), ...plan.notes];
      return { plan: { ...plan, notes }, chain: [newest, ...parents] };
    } catch (error) {
      if (!isWaldenError(error, ...OTHER_MAY_SERVE)) throw error;
      failures.push(error);
      repositories = repositories.filter(({ name }) => name !== plan.repository.name);
      if (repositories.length === 0) throw failures[0] ?? error;
    }
  }
}

/** What was planned with came from the catalog; it must be what the repository says, or the plan is for another backup. */
function assertAsPlanned(repository: string, { start, facts }: StoredBackup, planned: BackupFacts): void {
  if (isDeepStrictEqual(facts, planned)) return;
  throw new WaldenError(
    'BACKUP_INVALID',
    `the record of backup ${start.id} in repository ${repository} is not the one that the catalog knows`,
    { hint: 'run: walden catalog rebuild; and find out who changed the repository' },
  );
}

interface Place {
  readonly dataDirectory: string;
  readonly tablespaces: readonly TablespacePlace[];
  readonly owner: Owner | undefined;
  readonly isDelta: boolean;
}

interface Filled {
  readonly files: number;
  readonly bytes: number;
  readonly warnings: readonly string[];
  readonly delta: DeltaOutcome | undefined;
}

async function fill(
  deps: PlanDeps,
  order: RestoreOrder,
  { signal, onProgress }: RestoreControls,
  { plan, chain }: OpenedPlan,
  place: Place,
): Promise<Filled> {
  const [{ backup }, ...parents] = chain;
  const meter = new ProgressMeter(deps.clock, plan.restoreBytes, onProgress);
  meter.phase('files');
  const parallel = Math.min(order.request.workers ?? deps.pool.threads, deps.pool.threads);
  const onWritten = (bytes: number, files: number): void => {
    meter.add(bytes, files);
  };
  const onPhase = (phase: string): void => {
    meter.phase(phase);
  };
  const tools = { pool: deps.pool, clock: deps.clock, signal, onWritten };
  const delta = place.isDelta ? new DeltaWork(place, { ...tools, parallel, onPhase, onKept: onWritten }) : undefined;
  const written =
    parents.length === 0
      ? await writeFiles({ ...chain[0], parallel, ...place, delta }, tools)
      : await rebuildFiles({ chain, parallel, ...place, delta }, tools);
  meter.phase('finish');
  for (const directory of written.directories) await syncDirectory(directory);
  const { dataDirectory, owner } = place;
  await placeTail(deps, plan, place, signal);
  const { choice, target } = plan;
  const { request, restoreCommand } = order;
  const standby = request.standby ?? false;
  const follows = standby && target.timeline === undefined && target.target.kind === 'latest';
  const warnings = await configureNode(dataDirectory, owner, {
    majorVersion: backup.facts.identity.majorVersion,
    target: target.target,
    timeline: follows ? 'latest' : choice.candidate.view.timeline,
    action: request.action ?? 'pause',
    standby,
    follows: order.follow?.settings,
    takeOver: request.takeOver ?? false,
    restoreCommand,
    restoredAt: microsFromDate(deps.clock.now()),
  });
  if (signal.aborted) throw interrupted(signal);
  await publishControlFile(dataDirectory);
  return { files: written.files, bytes: written.bytes, warnings, delta: delta?.outcome };
}

function describe(
  plan: RestorePlan,
  order: RestoreOrder,
  { dataDirectory, tablespaces }: Place,
): Omit<RestoreResult, 'files' | 'bytes' | 'delta' | 'seconds' | 'warnings'> {
  const { cluster, repository, backup, target, timeline, notes } = planDocument(plan);
  return {
    cluster,
    repository,
    backup: backup.id,
    to: dataDirectory,
    target,
    timeline,
    tablespaces: tablespaces.map(({ original, location }) => ({ original, location })),
    notes,
    startCommand: `pg_ctl -D ${shellWord(dataDirectory)} start`,
    next: nextSteps(plan, order),
  };
}

function nextSteps(plan: RestorePlan, { request, follow }: RestoreOrder): readonly string[] {
  if (follow !== undefined) return ['it replays the archive and then streams; promote it with: select pg_promote()'];
  if (request.standby === true) {
    return ['it follows the archive as a standby; promote it with: select pg_promote()'];
  }
  const backupSoon = 'once it has taken the place of the old node, take a backup of it';
  const archiving = request.takeOver === true ? [backupSoon] : ['it does not archive: archive_mode is off'];
  const action = plan.target.target.kind === 'latest' ? 'promote' : (request.action ?? 'pause');
  if (action === 'shutdown') {
    return [
      "it shuts down at the target; to open it there, set recovery_target_action = 'promote' in postgresql.auto.conf",
      ...archiving,
    ];
  }
  if (action === 'promote') return archiving;
  return [
    'it stops at the target and takes queries, read-only; look at the data',
    // Its lock is replayed before its commit, and so before the target.
    'a table that is to be dropped or altered next is locked there: its queries wait for the next step',
    'to accept it and take writes: select pg_wal_replay_resume()',
    ...archiving,
  ];
}

/** Another repository had what one lacked: the node is whole, the one that failed is not. */
function troublesIn(troubles: ReadonlySet<string>): readonly string[] {
  const some = [...troubles].slice(0, 5);
  if (some.length === 0) return [];
  const rest = troubles.size - some.length;
  return [
    ...some.map((text) => `read from another repository instead: ${text}`),
    ...(rest > 0 ? [`and ${rest} more like these`] : []),
    'put it right with: walden repository repair',
  ];
}

function deltaResult(outcome: DeltaOutcome | undefined): DeltaResult | null {
  if (outcome === undefined) return null;
  return { keptFiles: outcome.keptFiles, keptBytes: outcome.keptBytes, removedFiles: outcome.files };
}

/** What went that somebody may miss. */
function deltaWarnings({ links }: DeltaOutcome, prepared: PreparedDelta | undefined): readonly string[] {
  return [
    ...(prepared?.givenUp ?? []).map((words) => `given up, since no repository has it: ${words}`),
    ...links.map(({ path, to }) => `the link ${path} is gone, which led to ${to}: the backup has none`),
  ];
}

/** PostgreSQL refuses to run as root. */
function ownerWarnings({ dataDirectory, owner }: Place): readonly string[] {
  if (owner?.uid !== 0) return [];
  return [`the files belong to root, as whom PostgreSQL does not run: chown -R postgres: ${shellWord(dataDirectory)}`];
}

export function absolute(path: string): string {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw new WaldenError('USAGE', `${JSON.stringify(path)} is not an absolute path`, {
      hint: 'for example: --to /var/lib/postgresql/restored',
    });
  }
  const normal = normalize(path).replace(/\/+$/, '');
  if (normal === '') throw new WaldenError('USAGE', 'a server cannot be restored to /');
  return normal;
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_/.,:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
