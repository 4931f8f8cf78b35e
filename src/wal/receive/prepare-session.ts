import { isWaldenError, WaldenError } from '../../errors.ts';
import { formatLsn, type TimelineId } from '../../postgres/lsn.ts';
import type { ReplicationConnection } from '../../postgres/replication/connection.ts';
import { assertOwnServer, identifyServer } from '../../postgres/replication/server-identity.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import {
  historyName,
  parseWalName,
  segmentName,
  segmentNumber,
  segmentNumberOfName,
  type WalFileName,
} from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import { newestTimeline } from '../newest-timeline.ts';
import { type CoveredRun, coveredRuns, pathOf, type PathStep } from '../path-coverage.ts';
import { firstMissing, isOnPath, type PlannedStart, planStart, type SpooledSegment } from './plan-start.ts';
import type { ReceivedFiles } from './received-files.ts';
import type { ReceiverLog } from './receiver-options.ts';
import type { ReceiveSpool } from './receive-spool.ts';

export interface SessionStart {
  readonly context: ArchiveContext;
  readonly connection: ReplicationConnection;
  readonly spool: ReceiveSpool;
  readonly files: ReceivedFiles;
  readonly log: ReceiverLog;
  readonly slot: string;
  /** Whether there is no other server to try. */
  readonly isOnlyHost: boolean;
  /** As StartKnown. */
  readonly lost: bigint | undefined;
  /** The server refused to stream from the slot, whatever it says of it. */
  readonly slotGivenUp: boolean;
}

/**
 * Everything that comes before the first byte: the server is the cluster's own, its slot keeps WAL, the histories of its
 * timelines are in the archive, and it is settled where to go on.
 * @throws SERVER_MISMATCH, and as connections and the spool
 */
export async function prepareSession(start: SessionStart): Promise<PlannedStart> {
  const { context, connection, lost } = start;
  const system = await identifyServer(connection);
  assertOwnServer(system, context.identity);
  await assertNotLeftBehind(start, system.timeline);
  const slotRestart = await ensureSlot(start);
  const path = await archiveHistories(start, system.timeline);
  const { segmentBytes } = context.identity;
  const { partial, finished } = await spooledSegments(start);
  const archives = await archivedRuns(context, path);
  const whole = finished.filter((one) => isOnPath({ path, segmentBytes }, one)).map(({ segment }) => segment);
  const plan = planStart({
    ...{ path, segmentBytes, partial, finished: finished.at(-1), slotRestart, lost },
    archived: lastArchived(archives),
    missing:
      slotRestart === undefined
        ? undefined
        : firstMissing(segmentNumber(slotRestart, segmentBytes), archives, new Set(whole)),
    serverFlushed: system.flushed,
  });
  await putOthersAside(start, path, plan);
  return plan;
}

/**
 * A primary that came back after another node was promoted goes on on its old timeline. Where there are others to receive
 * from, it is none of them; alone it is believed, since somebody may have given the newer timeline up.
 * @throws SERVER_MISMATCH
 */
async function assertNotLeftBehind({ context, isOnlyHost, log }: SessionStart, timeline: TimelineId): Promise<void> {
  const newest = await newestTimeline(context);
  if (newest <= timeline) return;
  const fact = `the server is on timeline ${timeline}, and the archive of ${context.cluster} has WAL of timeline ${newest}`;
  if (isOnlyHost) {
    log.warn({ timeline, newest }, fact);
    return;
  }
  throw new WaldenError('SERVER_MISMATCH', fact, { hint: 'this is a primary that another node was promoted after' });
}

/** One that keeps nothing, or that the server gave up, is made anew: nobody else uses it. @returns where its WAL begins */
async function ensureSlot({ connection, slot, slotGivenUp, log }: SessionStart): Promise<SlotRestart> {
  const found = await connection.readSlot(slot);
  if (found?.restart !== undefined && !slotGivenUp) return found.restart;
  if (found !== undefined) {
    await connection.dropSlot(slot);
    log.warn({ slot }, `the replication slot ${slot} kept no WAL, and is made anew`);
  }
  await connection.createSlot(slot);
  log.info({ slot }, `made the replication slot ${slot}`);
  return (await connection.readSlot(slot))?.restart;
}

type SlotRestart = NonNullable<Awaited<ReturnType<ReplicationConnection['readSlot']>>>['restart'];

/** A restore needs the history of each timeline. @returns the timelines up to the server's */
async function archiveHistories(start: SessionStart, timeline: TimelineId): Promise<readonly PathStep[]> {
  if (timeline === 1) return pathOf({ timeline, ancestors: [] });
  const content = await start.connection.timelineHistory(timeline);
  const history = parseTimelineHistory(content.toString('utf8'), timeline);
  await archiveHistory(start, timeline, content);
  for (const { timeline: ancestor } of history.ancestors) {
    if (ancestor === 1 || (await isArchived(start.context, historyName(ancestor)))) continue;
    try {
      await archiveHistory(start, ancestor, await start.connection.timelineHistory(ancestor));
    } catch (error) {
      // A node that was made from a backup may not have it; that of its own timeline names every earlier one too.
      if (!isWaldenError(error, 'SERVER_QUERY')) throw error;
    }
  }
  return pathOf(history);
}

async function archiveHistory(
  { context, spool, files }: SessionStart,
  timeline: TimelineId,
  content: Buffer,
): Promise<void> {
  const name = historyName(timeline);
  if (await isArchived(context, name)) return;
  await spool.store(name, content);
  files.add(name);
}

async function isArchived({ catalog, cluster, required }: ArchiveContext, name: WalFileName): Promise<boolean> {
  for (const repository of required) {
    if ((await catalog.walFile(repository.name, cluster, name)) === undefined) return false;
  }
  return true;
}

/** The last partial segment, and all that are whole, in ascending order of name. */
async function spooledSegments({ context, spool, log }: SessionStart): Promise<{
  readonly partial: SpooledSegment | undefined;
  readonly finished: readonly SpooledSegment[];
}> {
  const { segmentBytes } = context.identity;
  const spooled = (name: WalFileName): SpooledSegment => ({
    timeline: parseWalName(name).timeline,
    segment: segmentNumberOfName(name, segmentBytes),
  });
  const finished = (await spool.finished()).filter((name) => parseWalName(name).kind === 'segment');
  const partials: WalFileName[] = [];
  for (const { segment } of await spool.partials()) {
    if (!finished.includes(segment)) {
      partials.push(segment);
      continue;
    }
    // A crash of the host between the two steps of finishing it.
    const kept = await spool.keep(segment);
    log.warn({ kept }, `${segment} was in the spool twice`);
  }
  const partial = partials.at(-1);
  return { partial: partial === undefined ? undefined : spooled(partial), finished: finished.map(spooled) };
}

/** What each required repository holds of the path, as far as the catalog knows it. */
async function archivedRuns(
  { catalog, cluster, required, identity }: ArchiveContext,
  path: readonly PathStep[],
): Promise<readonly (readonly CoveredRun[])[]> {
  return await Promise.all(
    required.map(async ({ name }) => coveredRuns(path, await catalog.walRanges(name, cluster), identity.segmentBytes)),
  );
}

/** The last segment that each of them holds. */
function lastArchived(archives: readonly (readonly CoveredRun[])[]): bigint | undefined {
  const ends = archives.flatMap((runs) => runs.at(-1)?.to ?? []);
  return ends.length === 0 ? undefined : ends.reduce((least, end) => (end < least ? end : least));
}

/** What will not go on: the tail of a timeline that the server has left, say. It may hold what nobody else has. */
async function putOthersAside(
  { context, spool, log }: SessionStart,
  path: readonly PathStep[],
  plan: PlannedStart,
): Promise<void> {
  const { segmentBytes } = context.identity;
  const going = segmentName(plan.timeline, plan.segment, segmentBytes);
  for (const { segment, bytes } of await spool.partials()) {
    if (segment === going) continue;
    const { timeline } = parseWalName(segment);
    const number = segmentNumberOfName(segment, segmentBytes);
    const isOfPath = isOnPath({ path, segmentBytes }, { timeline, segment: number });
    // What is missing comes first; then it goes on.
    if (isOfPath && number > plan.segment) continue;
    const step = path.find((one) => one.timeline === timeline);
    const kept = await spool.keep(segment);
    const left = step?.end === undefined ? '' : ` the server left timeline ${timeline} at ${formatLsn(step.end)};`;
    const reason = isOfPath ? ' it is not continued;' : left;
    log.warn({ segment, bytes, kept }, `the tail ${segment} is put aside:${reason} it is kept as ${kept}`);
  }
}
