import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterName } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { timelineOfSegment } from '../wal/path-coverage.ts';
import type { FilledFile } from '../wal/receive/read-spooled-task.ts';
import { readSpooledTail, type SpooledName } from '../wal/receive/spooled-tail.ts';
import type { PlanDeps, RestorePlan } from './plan.ts';
import { asLocalError, type Owner } from './target-directory.ts';

export interface TailPlace {
  readonly dataDirectory: string;
  readonly owner: Owner | undefined;
}

/**
 * Puts what the receiver's spool has into pg_wal, the unfinished segment filled up with zeros. PostgreSQL asks the archive
 * for each segment first, and takes these only where that has none (XLogFileReadAnyTLI): so whatever is archived later,
 * under whichever name, is what counts, also for a standby that has read an unfinished segment to its end by then.
 *
 * The spool is read anew: more has come while the files were written.
 * @throws ARCHIVE_GAP when what was planned with is gone; LOCAL_IO, STORAGE_FULL
 */
export async function placeTail(deps: PlanDeps, plan: RestorePlan, place: TailPlace): Promise<void> {
  const identity = deps.tail && (await deps.catalog.clusterIdentity(plan.cluster));
  if (deps.tail === undefined || identity === undefined) return;
  const directory = join(place.dataDirectory, 'pg_wal');
  const targetOf = async (spooled: SpooledName): Promise<FilledFile | undefined> => {
    if (!isWanted(plan, spooled) || (await isStored(deps, plan.cluster, spooled.name))) return undefined;
    return { path: join(directory, spooled.name), owner: place.owner };
  };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { segments } = await readSpooledTail(deps.tail, { identity, pool: deps.pool, targetOf });
    await syncDirectory(directory);
    await assertNothingLost(deps, plan, new Set(segments.map(({ name }) => name)));
  } catch (error) {
    throw asLocalError(error, `unable to write ${directory}`);
  }
}

/** On the path alone: PostgreSQL would take an older timeline's segment where the right one is missing, beyond the fork. */
function isWanted({ choice, target }: RestorePlan, { timeline, segment }: SpooledName): boolean {
  const { view } = choice.candidate;
  if (timelineOfSegment(view.path, segment, view.archive.segmentBytes) !== timeline) return false;
  return segment >= choice.from && (target.target.kind === 'latest' || segment <= choice.to);
}

/** What has left the spool is in the repositories, unless the receiver put it aside. */
async function assertNothingLost(
  deps: PlanDeps,
  { cluster, fromTail }: RestorePlan,
  placed: ReadonlySet<WalFileName>,
): Promise<void> {
  for (const { name } of fromTail) {
    if (placed.has(name) || (await isStored(deps, cluster, name))) continue;
    throw new WaldenError('ARCHIVE_GAP', `segment ${name} was planned with, and has left the receiver's spool since`, {
      hint: 'the receiver follows another server now, and has put it aside; look at: walden plan',
    });
  }
}

/** Whoever asks a repository in trouble must not be answered with a file that it may have refused for its other bytes. */
async function isStored(
  { catalog, repositories }: PlanDeps,
  cluster: ClusterName,
  name: WalFileName,
): Promise<boolean> {
  for (const repository of repositories) {
    if ((await catalog.walFile(repository.name, cluster, name)) !== undefined) return true;
  }
  return false;
}
