import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { parseWalName, segmentNumberOfName, type WalFileName } from '../postgres/wal-name.ts';
import { isAway } from '../repository/repository.ts';
import { type PathStep, timelineOfSegment } from '../wal/path-coverage.ts';
import { fillKept, readKeptTail } from '../wal/receive/kept-tail.ts';
import type { FilledFile } from '../wal/receive/read-spooled-task.ts';
import { readSpooledTail } from '../wal/receive/spooled-tail.ts';
import type { TailSegment } from '../wal/tail.ts';
import { furthestStored, listUnfinished, type UnfinishedObject } from '../wal/unfinished.ts';
import type { PlanDeps, RestorePlan } from './plan.ts';
import { fetchUnfinished, UNUSABLE } from './stored-tail.ts';
import { asLocalError, type Owner } from './target-directory.ts';

export interface TailPlace {
  readonly dataDirectory: string;
  readonly owner: Owner | undefined;
}

/**
 * Puts what the tail has into pg_wal: the unfinished segment filled up with zeros, and whole ones that wait in the spool.
 * PostgreSQL asks the archive for each segment first, and takes these only where that has none (XLogFileReadAnyTLI): so
 * whatever is archived later is what counts, also for a standby that has read an unfinished segment to its end by then.
 *
 * The tail is read anew: more has come while the files were written.
 * @throws ARCHIVE_GAP when what was planned with is gone; LOCAL_IO, STORAGE_FULL, and as fetchUnfinished
 */
export async function placeTail(
  deps: PlanDeps,
  plan: RestorePlan,
  place: TailPlace,
  signal: AbortSignal,
): Promise<void> {
  const identity = await deps.catalog.clusterIdentity(plan.cluster);
  if (identity === undefined) return;
  const directory = join(place.dataDirectory, 'pg_wal');
  const targetOf = async (name: WalFileName): Promise<FilledFile | undefined> => {
    if (!isWanted(plan, name, identity) || (await isStored(deps, plan, name))) return undefined;
    return { path: join(directory, name), owner: place.owner, isLasting: true };
  };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const placed = new Map<WalFileName, Lsn>();
    const spooled = deps.tail && (await readSpooledTail(deps.tail, { identity, pool: deps.pool, targetOf }));
    for (const { name, end } of spooled?.segments ?? []) placed.set(name, end);
    for (const object of await storedUnfinished(plan, signal)) {
      const { segment, end } = object;
      const target = await targetOf(segment);
      if (target === undefined || end <= (placed.get(segment) ?? 0n)) continue;
      try {
        await fetchUnfinished({ ...deps, repository: plan.repository, identity }, object, target, signal);
        placed.set(segment, end);
      } catch (error) {
        // What it was planned with is missed below.
        if (!isWaldenError(error, ...UNUSABLE)) throw error;
      }
    }
    for (const one of await keptSegments(deps, plan, identity)) {
      const target = await targetOf(one.name);
      const isInSpool = spooled?.segments.some(({ name }) => name === one.name) ?? false;
      if (target === undefined || isInSpool || one.end <= (placed.get(one.name) ?? 0n)) continue;
      await fillKept(one, { identity, pool: deps.pool }, target);
      placed.set(one.name, one.end);
    }
    await syncDirectory(directory);
    await assertNothingLost(deps, plan, identity, placed);
  } catch (error) {
    throw asLocalError(error, `unable to write ${directory}`);
  }
}

/** On the path alone: PostgreSQL would take an older timeline's segment where the right one is missing, beyond the fork. */
function isWanted(plan: RestorePlan, name: WalFileName, identity: ClusterIdentity): boolean {
  const { choice, target, follows } = plan;
  const segment = segmentNumberOfName(name, identity.segmentBytes);
  const paths = [choice.candidate.view.path, follows].filter((path) => path !== undefined);
  if (!paths.every((path) => isOnPath(path, name, identity))) return false;
  return segment >= choice.from && (target.target.kind === 'latest' || segment <= choice.to);
}

function isOnPath(path: readonly PathStep[], name: WalFileName, { segmentBytes }: ClusterIdentity): boolean {
  const segment = segmentNumberOfName(name, segmentBytes);
  return timelineOfSegment(path, segment, segmentBytes) === parseWalName(name).timeline;
}

/** Of what was planned with from this host: it was put aside already, or has been since. */
async function keptSegments(
  { tail, pool }: PlanDeps,
  { target: { timeline }, fromTail }: RestorePlan,
  identity: ClusterIdentity,
): Promise<readonly TailSegment[]> {
  if (tail === undefined || timeline === undefined) return [];
  const { segments } = await readKeptTail(tail.spool, { identity, pool, timeline });
  return segments.filter(({ name }) => fromTail.some((one) => one.name === name && one.storedIn === undefined));
}

async function storedUnfinished(
  { repository, cluster, fromTail }: RestorePlan,
  signal: AbortSignal,
): Promise<readonly UnfinishedObject[]> {
  try {
    return furthestStored(await listUnfinished(repository, cluster, signal));
  } catch (error) {
    // The backup may have come from another one, and what was planned with from the spool.
    if (!isAway(error) || fromTail.some(({ storedIn }) => storedIn !== undefined)) throw error;
    return [];
  }
}

/** What has left the tail is in the archive, unless the receiver put it aside. */
async function assertNothingLost(
  deps: PlanDeps,
  plan: RestorePlan,
  identity: ClusterIdentity,
  placed: ReadonlyMap<WalFileName, Lsn>,
): Promise<void> {
  for (const { name } of plan.fromTail) {
    // The server that is followed did not have it, or has it on another timeline.
    if (plan.follows !== undefined && !isOnPath(plan.follows, name, identity)) continue;
    if (placed.has(name) || (await isStored(deps, plan, name))) continue;
    throw new WaldenError('ARCHIVE_GAP', `segment ${name} was planned with, and is gone since`, {
      hint: 'the receiver follows another server now, and has put it aside; look at: walden plan',
    });
  }
}

/** Whoever asks a repository in trouble must not be answered with a file that it may have refused for its other bytes. */
async function isStored(
  { catalog, repositories }: PlanDeps,
  { cluster }: RestorePlan,
  name: WalFileName,
): Promise<boolean> {
  for (const repository of repositories) {
    if ((await catalog.walFile(repository.name, cluster, name)) !== undefined) return true;
  }
  return false;
}
