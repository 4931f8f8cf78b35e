import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BackupId, Catalog, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { type ErrorCode, isWaldenError, systemErrorCode, WaldenError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { type BrokenChain, chainOf, wholeChains } from '../repository/backup-chain.ts';
import type { Repository } from '../repository/repository.ts';
import type { PlanDocument, RestoreRequest } from '../service/api.ts';
import { readKeptTail } from '../wal/receive/kept-tail.ts';
import { readSpooledTail, type SpooledTail, type SpooledTailSource } from '../wal/receive/spooled-tail.ts';
import { furthest, newIn, type TailSegment, withTail } from '../wal/tail.ts';
import type { ArchiveView } from '../wal/archive-view.ts';
import { withoutDamaged } from '../wal/sound-view.ts';
import type { PathStep } from '../wal/path-coverage.ts';
import { completeBackups, viewArchive } from '../wal/view-archive.ts';
import { archiveLookups } from './archive-lookups.ts';
import type { Choice } from './choose.ts';
import { decide } from './decide.ts';
import { type Estimate, estimateOf, measuredRates } from './estimate.ts';
import { markWords, marksInTheWay, onlyDamaged, passedOver } from './marks.ts';
import { planDocument } from './plan-document.ts';
import { noBackup } from './refusals.ts';
import { readStoredTail } from './stored-tail.ts';
import { lookupsWithTail } from './tail-lookups.ts';
import { tailNotes } from './tail-notes.ts';
import { mapTablespaces } from './tablespaces.ts';
import { parseTarget, type TargetChoice } from './target.ts';
import { lookAtOldDirectory } from './delta/old-directory.ts';
import { checkTarget, type RestoreTarget } from './target-directory.ts';

export interface PlanDeps {
  readonly catalog: Catalog;
  /** Of the cluster, in the order in which they are preferred. */
  readonly repositories: readonly Repository[];
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** What a receiver on this host has that the repositories may not have yet. */
  readonly tail?: SpooledTailSource | undefined;
}

/** With these, another repository may still be able to. */
export const OTHER_MAY_SERVE: readonly ErrorCode[] = [
  'TARGET_UNREACHABLE',
  'ARCHIVE_GAP',
  'STORAGE_UNAVAILABLE',
  'STORAGE_DENIED',
  'STORAGE_OBJECT_MISSING',
  'CHECKSUM_MISMATCH',
  'FORMAT_INVALID',
  'BACKUP_INVALID',
  'KEY_MISSING',
  'KEY_REFUSED',
];

/** What a restore would do, decided. */
export interface RestorePlan {
  readonly cluster: ClusterName;
  readonly repository: Repository;
  readonly target: TargetChoice;
  readonly choice: Choice;
  /** Segments that will be replayed and are not in the archive, but in the tail. */
  readonly fromTail: readonly TailSegment[];
  /** What the backup builds on, its parent first, down to the full one. */
  readonly chain: readonly BackupId[];
  /** What is to be written; with an incremental backup about so much, since only reading it tells. */
  readonly restoreBytes: number;
  /** Of the backup and all that it builds on; of these not everything is read. */
  readonly storedBytes: number;
  /** The timelines of the server that a standby is to follow: what of the tail is not on them would lead it astray. */
  readonly follows?: readonly PathStep[] | undefined;
  /** By what was measured last; undefined: nothing was. */
  readonly estimate: Estimate | undefined;
  readonly notes: readonly string[];
  /** What it has to read and was found damaged, in words; nothing unless the backup was asked for by name. */
  readonly marked: readonly string[];
}

/**
 * Answers without touching anything but the catalog, the tail (in the spool and in the repository) and, where the index is
 * not exact, single segments.
 * @throws USAGE, NOT_FOUND, BACKUP_INVALID; TARGET_UNREACHABLE, ARCHIVE_GAP: why it cannot work and the nearest that can;
 * as checkTarget, where `to` is named
 */
export async function makePlan(deps: PlanDeps, cluster: ClusterName, request: RestoreRequest): Promise<PlanDocument> {
  const plan = await planRestore(deps, cluster, request);
  await checkPlaces(plan, request);
  return planDocument(plan);
}

/** A plan may leave the directory open, a restore cannot. @returns the directories, if there are any */
export async function checkPlaces(
  { choice }: RestorePlan,
  { to, tablespaceMap = {}, delta = false }: RestoreRequest,
): Promise<RestoreTarget | undefined> {
  const { tablespaces, identity } = choice.candidate.backup.facts;
  const dataDirectory = to === '' ? undefined : to;
  const places = mapTablespaces(tablespaces, tablespaceMap, dataDirectory);
  if (dataDirectory === undefined) return undefined;
  const target = { dataDirectory, tablespaceDirectories: places.map(({ location }) => location) };
  if (delta) await lookAtOldDirectory(target, identity);
  else await checkTarget(target);
  return target;
}

/**
 * As makePlan. The first repository that can serve the target is taken; if none can, the first one's refusal is told. What was
 * found damaged is taken only when nothing else can serve a backup that was asked for by name.
 */
export async function planRestore(
  deps: PlanDeps,
  cluster: ClusterName,
  request: RestoreRequest,
  signal?: AbortSignal,
): Promise<RestorePlan> {
  const target = parseTarget(request.target, microsFromDate(deps.clock.now()));
  await assertBackupUsable(deps, cluster, target);
  const marks = await deps.catalog.proof.damagedObjects(cluster);
  try {
    return await planWithout(marks, deps, cluster, target, request, signal);
  } catch (error) {
    if (marks.length === 0 || !isWaldenError(error, ...OTHER_MAY_SERVE)) throw error;
    // Not better than what is refused already, where it cannot work either.
    const plan = await planWithout([], deps, cluster, target, request, signal).catch(() => undefined);
    if (plan === undefined) throw error;
    const inTheWay = marksInTheWay(plan, marks);
    if (target.backup === undefined) throw onlyDamaged(inTheWay, plan.choice.candidate.backup.id, error);
    const marked = markWords(inTheWay);
    return { ...plan, marked, notes: [...marked.map((words) => `DAMAGED: ${words}`), ...plan.notes] };
  }
}

async function planWithout(
  marks: readonly DamagedObject[],
  deps: PlanDeps,
  cluster: ClusterName,
  target: TargetChoice,
  request: RestoreRequest,
  signal: AbortSignal | undefined,
): Promise<RestorePlan> {
  // Before the catalog is asked: what leaves the tail is in the catalog by then.
  const tail = await tailFor(deps, cluster, target);
  const refusals: { readonly repository: Repository; readonly error: WaldenError }[] = [];
  for (const repository of deps.repositories) {
    try {
      const {
        choice,
        fromTail,
        notes: tailWords,
      } = await planFrom(deps, repository, cluster, { target, tail, marks }, signal);
      const asked = [...refusals.map((one) => one.repository.name), repository.name];
      const others = [
        ...passedOver(marks, asked),
        ...refusals.map((one) => `repository ${one.repository.name} cannot serve it: ${one.error.message}`),
        ...inTrouble(deps.repositories, [repository, ...refusals.map((one) => one.repository)]),
      ];
      const notes = [...others, ...tail.notes, ...tailWords];
      return await completePlan(deps, { cluster, repository, target, choice, fromTail }, request, notes);
    } catch (error) {
      if (!isWaldenError(error, ...OTHER_MAY_SERVE)) throw error;
      refusals.push({ repository, error });
    }
  }
  throw bestRefusal(refusals.map(({ error }) => error)) ?? noRepositories(cluster);
}

/** Those that came last, or would: whoever expects the preferred one is to know why it was another. */
function inTrouble(repositories: readonly Repository[], asked: readonly Repository[]): readonly string[] {
  return repositories.flatMap(({ name, health }) => {
    const failure = asked.some((one) => one.name === name) ? undefined : health?.failure;
    return failure === undefined ? [] : [`repository ${name} is in trouble: ${failure.error.message}`];
  });
}

interface Sought {
  readonly target: TargetChoice;
  readonly tail: TailKnown;
  /** What is not to be used. */
  readonly marks: readonly DamagedObject[];
}

async function planFrom(
  deps: PlanDeps,
  repository: Repository,
  cluster: ClusterName,
  { target, tail, marks }: Sought,
  signal: AbortSignal | undefined,
): Promise<Pick<RestorePlan, 'choice' | 'fromTail' | 'notes'>> {
  const archive = await viewArchive(deps.catalog, cluster, repository.name);
  if (archive === undefined) throw noBackup({ cluster, repository: repository.name });
  const whole = withoutDamaged(archive, marks);
  const wanted = target.backup;
  const stored = wanted === undefined ? whole : { ...whole, backups: whole.backups.filter(({ id }) => id === wanted) };
  const own = await readStoredTail({ ...deps, repository, cluster }, xidOf(target), signal);
  const isLeft = wasLeft(stored, tail, target.timeline);
  const added = newIn(stored, furthest([...tail.segments, ...own.segments, ...(isLeft ? tail.kept : [])]));
  const lookups = archiveLookups({ ...deps, repository, cluster, archive: stored }, signal);
  const choice = await decide(withTail(stored, added), target, lookupsWithTail(lookups, added));
  const isReplayed = ({ timeline, segment }: TailSegment): boolean =>
    choice.spans.some((span) => span.timeline === timeline && span.from <= segment && segment <= span.to);
  const fromTail = added.filter(isReplayed);
  const unused = target.target.kind === 'latest' ? added.filter((one) => !isReplayed(one)) : [];
  const keptWords = isLeft ? [] : newIn(stored, tail.kept).map(notYetLeft);
  const broken = (whole.broken ?? []).map((one) => brokenWords(one, repository.name));
  return { choice, fromTail, notes: [...broken, ...own.notes, ...keptWords, ...tailNotes(fromTail, unused)] };
}

function xidOf({ target }: TargetChoice): number | undefined {
  return target.kind === 'xid' ? target.xid : undefined;
}

/** What this host has besides the repositories. */
interface TailKnown extends SpooledTail {
  /** What was put aside of the timeline that is asked for, and of segments that are in the spool no more. */
  readonly kept: readonly TailSegment[];
}

async function tailFor(
  { tail, catalog, pool }: PlanDeps,
  cluster: ClusterName,
  target: TargetChoice,
): Promise<TailKnown> {
  const identity = tail && (await catalog.clusterIdentity(cluster));
  if (tail === undefined || identity === undefined) return { segments: [], notes: [], kept: [] };
  const reading = { identity, pool, xid: xidOf(target) };
  const { timeline } = target;
  const spooled = await readSpooledTail(tail, reading);
  // After the spool: what leaves that in between is seen here.
  const kept = timeline && (await readKeptTail(tail.spool, { ...reading, timeline }));
  if (kept === undefined) return { ...spooled, kept: [] };
  return {
    segments: spooled.segments,
    kept: kept.segments.filter(({ name }) => !spooled.segments.some((one) => one.name === name)),
    notes: [...spooled.notes, ...kept.notes],
  };
}

/**
 * A timeline is left when there is WAL, or the history, of a newer one. Before that, what was put aside may be what the server
 * itself took back.
 */
function wasLeft(
  { ranges, histories }: ArchiveView,
  { segments }: TailKnown,
  timeline: TimelineId | undefined,
): boolean {
  return timeline !== undefined && [...ranges, ...histories, ...segments].some((one) => one.timeline > timeline);
}

function notYetLeft({ name, keptAs = name }: TailSegment): string {
  return `not used, since nothing is known of a later timeline: ${keptAs}, which the receiver put aside`;
}

async function completePlan(
  { catalog }: PlanDeps,
  decided: Pick<RestorePlan, 'cluster' | 'repository' | 'target' | 'choice' | 'fromTail'>,
  request: RestoreRequest,
  notes: readonly string[],
): Promise<RestorePlan> {
  const { cluster, repository, choice } = decided;
  const { whole } = wholeChains(await completeBackups(catalog, cluster, repository.name));
  const chain = chainOf(choice.candidate.backup, whole);
  // The size of the full one as a rule: the others hold what changed.
  const restoreBytes = Math.max(...chain.map(({ facts }) => facts.plainBytes));
  const storedBytes = chain.reduce((sum, { facts }) => sum + facts.storedBytes, 0);
  const { segmentBytes } = choice.candidate.view.archive;
  const walBytes = Number(choice.to - choice.from + 1n) * segmentBytes;
  return {
    ...decided,
    chain: chain.slice(1).map(({ id }) => id),
    restoreBytes,
    storedBytes,
    marked: [],
    estimate: estimateOf({ restoreBytes, walBytes }, await measuredRates(catalog, cluster)),
    notes: [
      ...decided.target.notes,
      ...notes,
      ...decided.choice.notes,
      ...(await spaceNotes(request.to, restoreBytes)),
    ],
  };
}

async function assertBackupUsable({ catalog }: PlanDeps, cluster: ClusterName, target: TargetChoice): Promise<void> {
  if (target.backup === undefined) return;
  const records = (await catalog.backups(cluster)).filter(({ id }) => id === target.backup);
  const [first] = records;
  if (first === undefined) {
    throw new WaldenError('NOT_FOUND', `cluster ${cluster} has no backup ${target.backup}`, {
      hint: `list them with: walden list ${cluster}`,
    });
  }
  const complete = records.filter(({ state }) => state === 'complete');
  if (complete.length === 0) {
    throw new WaldenError('BACKUP_INVALID', `backup ${target.backup} cannot be restored: it is ${first.state}`);
  }
  const failures: string[] = [];
  for (const { repository } of complete) {
    const { whole, broken } = wholeChains(await completeBackups(catalog, cluster, repository));
    if (whole.some(({ id }) => id === target.backup)) return;
    failures.push(...broken.filter(({ id }) => id === target.backup).map((one) => brokenWords(one, repository)));
  }
  throw new WaldenError('BACKUP_INVALID', failures.join('; '));
}

/** A backup that cannot be restored from one repository, in words. */
function brokenWords({ id, missing }: BrokenChain, repository: RepositoryName): string {
  return `backup ${id} cannot be restored from repository ${repository}: it builds on ${missing}, which is not there`;
}

/** Only a note: file systems that compress hold more than they seem to. */
async function spaceNotes(directory: string, bytes: number): Promise<readonly string[]> {
  for (let path = directory; path.startsWith('/'); path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      const free = bavail * bsize;
      if (free >= bytes) return [];
      return [
        `only ${mebibytes(free)} MiB are free where ${directory} is to be; the backup has ${mebibytes(bytes)} MiB`,
      ];
    } catch (error) {
      // Looked at only for a note: what cannot be looked at is told when it is written to.
      if (systemErrorCode(error) !== 'ENOENT' || path === '/') return [];
    }
  }
  return [];
}

function mebibytes(bytes: number): string {
  return Math.ceil(bytes / 1024 / 1024).toString();
}

/** A repository without backups says less than one that comes near. */
function bestRefusal(refusals: readonly WaldenError[]): WaldenError | undefined {
  return refusals.find(({ details }) => 'nearest' in details || 'otherTimeline' in details) ?? refusals[0];
}

function noRepositories(cluster: ClusterName): WaldenError {
  return new WaldenError('CONFIG_INVALID', `cluster ${cluster} has no repository`);
}
