import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import type { SegmentRun } from '../../../catalog/catalog.ts';
import { isWaldenError, localIoError, toWaldenError, type WaldenError } from '../../errors.ts';
import { ProgressMeter, type WorkProgress } from '../../platform/progress-meter.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import { historyName, segmentName, type WalFileName } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { Ancestry } from '../path-coverage.ts';
import { countSegments } from '../segment-runs.ts';
import { type ArchiveState, missingSegments, readArchive, wantsHistory, withHistories } from './archive-state.ts';
import { bringReadyFiles } from './bring-ready-files.ts';
import { type DirectoryPlace, DirectorySource } from './directory-source.ts';
import { forkOf } from './node-history.ts';
import { RepairLedger, throwWhatIsWrong, type WalRepairResult } from './repair-ledger.ts';
import { ServerSource } from './server-source.ts';
import type { WalSource } from './wal-source.ts';

/** Where missing WAL may be. `isNamed`: by an operator, in the configuration or in the order. */
export type RepairNode =
  | { readonly kind: 'server'; readonly name: string; readonly isNamed: boolean; readonly config: ClientConfig }
  | ({ readonly kind: 'directory' } & Omit<DirectoryPlace, 'histories'>);

export interface RepairDeps {
  readonly context: ArchiveContext;
  /** The one way in: validates, stores write-once in every required repository, records. */
  readonly push: (name: WalFileName, path: string) => Promise<void>;
}

export interface RepairOrder {
  /** In the order in which they are asked. */
  readonly nodes: readonly RepairNode[];
  readonly dryRun: boolean;
}

export interface RepairControls {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: WorkProgress) => void;
}

/** What one repair works with. */
export interface Repair extends RepairDeps, RepairControls {
  readonly dryRun: boolean;
  readonly ledger: RepairLedger;
  readonly meter: ProgressMeter;
  /** As it is now, or with `dryRun` as it would be. */
  archive: ArchiveState;
}

/** What is wrong with the bytes that a node gave, and with nothing else. */
const BAD_BYTES = ['FORMAT_INVALID', 'SERVER_MISMATCH', 'ARCHIVE_FILE_MISSING'] as const;
/** Why a node gives nothing more. */
const GIVEN_UP = ['SERVER_UNREACHABLE', 'SERVER_QUERY'] as const;

/**
 * Fetches the segments and histories that the required repositories lack from the nodes that still have them, and takes over
 * what the archivers of directories have not brought. Everything goes in as a push does. Begun again, it goes on with what is
 * still missing.
 * @throws SERVER_MISMATCH for a node of the order that is another cluster's; at the end ARCHIVE_DUPLICATE, ARCHIVE_GAP with the
 * WalRepairResult in `details.result`; LOCAL_IO, STORAGE_*; INTERRUPTED
 */
export async function repairWal(
  deps: RepairDeps,
  { nodes, dryRun }: RepairOrder,
  controls: RepairControls,
): Promise<WalRepairResult> {
  const { context } = deps;
  const ledger = new RepairLedger(context.identity.segmentBytes);
  const meter = new ProgressMeter(context.clock, 0, controls.onProgress);
  const repair: Repair = { ...deps, ...controls, dryRun, ledger, meter, archive: await readArchive(context) };
  meter.phase('asking the nodes');
  const sources = await openSources(repair, nodes);
  await bringHistories(repair, sources);
  await bringMissing(repair, sources);
  for (const source of sources) {
    if (source instanceof DirectorySource && source.isEmptied) await bringReadyFiles(repair, source);
  }
  const result = ledger.result(context.cluster, dryRun);
  throwWhatIsWrong(result);
  return result;
}

async function openSources(repair: Repair, nodes: readonly RepairNode[]): Promise<readonly WalSource[]> {
  const sources: WalSource[] = [];
  for (const node of nodes) {
    repair.signal.throwIfAborted();
    const name = node.kind === 'server' ? node.name : node.path;
    try {
      sources.push(await openSource(repair, node));
      repair.ledger.node(name);
    } catch (thrown) {
      repair.signal.throwIfAborted();
      const error = toWaldenError(thrown);
      // Whoever names a node of another cluster is mistaken in more than that.
      if (node.isNamed && error.code === 'SERVER_MISMATCH') throw error;
      repair.ledger.node(name, error);
    }
  }
  return sources;
}

async function openSource(repair: Repair, node: RepairNode): Promise<WalSource> {
  const { context, signal } = repair;
  const histories = (): ArchiveState['histories'] => repair.archive.histories;
  if (node.kind === 'directory') return await DirectorySource.open(context, { ...node, histories });
  return await ServerSource.open(context, { ...node, histories, signal });
}

/** Oldest first; of each timeline from the first node that has it, as long as it is the archive's. */
async function bringHistories(repair: Repair, sources: readonly WalSource[]): Promise<void> {
  const { context, ledger } = repair;
  const stored: Ancestry[] = [];
  for (const source of sources) {
    for (const timeline of source.timelines) {
      repair.signal.throwIfAborted();
      const known = withHistories(repair.archive, stored);
      // Asked for only where it may be wanted.
      const isAnywhere = known.views.every((view) => view.histories.some((one) => one.timeline === timeline));
      if (isAnywhere) continue;
      const file = await source.history(timeline).catch((error: unknown) => {
        // It went away in this moment: what is asked of it next tells so.
        if (isWaldenError(error, ...GIVEN_UP)) return undefined;
        throw error;
      });
      if (file === undefined) continue;
      const history = parseTimelineHistory(file.content.toString('utf8'), timeline);
      if (!wantsHistory(known, history, source.isNamed && source.isSuccessor)) continue;
      if (await storeHistory(repair, source, timeline, file.content)) stored.push(history);
    }
  }
  repair.archive = repair.dryRun ? withHistories(repair.archive, stored) : await readArchive(context);
  ledger.wants(missingSegments(repair.archive));
}

async function storeHistory(
  repair: Repair,
  source: WalSource,
  timeline: TimelineId,
  content: Buffer,
): Promise<boolean> {
  const { context, dryRun, ledger } = repair;
  const name = historyName(timeline);
  const path = join(context.stagingDirectory, `${name}.${randomUUID()}`);
  try {
    if (!dryRun) {
      await writeFile(path, content, { flag: 'wx', mode: 0o640 }).catch((error: unknown) => {
        throw localIoError(error, `unable to stage ${path}`);
      });
      if ((await pushed(repair, source.name, name, path)) !== undefined) return false;
    }
    ledger.file(name, source.name);
    return true;
  } finally {
    await rm(path, { force: true });
  }
}

async function bringMissing(repair: Repair, sources: readonly WalSource[]): Promise<void> {
  const { ledger, context } = repair;
  const { segmentBytes } = context.identity;
  repair.meter.expect(countSegments(ledger.left) * segmentBytes);
  for (const source of sources) {
    repair.meter.phase(`from ${source.name}`);
    const left = ledger.left.flatMap((run) => {
      const { may, refused } = source.judge(run);
      if (refused !== undefined) ledger.lacks(source.name, refused.run, refused.reason);
      return may === undefined ? [] : [may];
    });
    try {
      for (const run of left) await bringFrom(repair, source, run);
    } catch (error) {
      repair.signal.throwIfAborted();
      if (!isWaldenError(error, ...GIVEN_UP)) throw error;
      for (const run of left) ledger.lacks(source.name, run, reasonOf(error));
    }
  }
}

async function bringFrom(repair: Repair, source: WalSource, run: SegmentRun): Promise<void> {
  const { ledger } = repair;
  repair.signal.throwIfAborted();
  const lacks = (part: SegmentRun, reason: string): void => {
    ledger.lacks(source.name, part, reason);
  };
  if (repair.dryRun) {
    for (const held of await source.holds(run, lacks)) noteRepaired(repair, source.name, held);
    return;
  }
  await source.bring(
    run,
    (segment, path) => storeSegment(repair, source.name, { ...run, first: segment, last: segment }, path),
    lacks,
  );
}

/** Stores one segment, or notes why not. `run`: that segment. @throws what says nothing about these bytes alone */
export async function storeSegment(repair: Repair, from: string, run: SegmentRun, path: string): Promise<void> {
  const { ledger, context, meter } = repair;
  repair.signal.throwIfAborted();
  const name = segmentName(run.timeline, run.first, context.identity.segmentBytes);
  const refused = await pushed(repair, from, name, path);
  if (refused !== undefined) {
    ledger.lacks(from, run, refused.code === 'ARCHIVE_DUPLICATE' ? 'other bytes than are stored' : refused.message);
    return;
  }
  noteRepaired(repair, from, run);
  meter.add(context.identity.segmentBytes, 1);
}

/** @returns why the archive does not take these bytes; a difference is noted as such */
export async function pushed(
  { push, context, ledger }: Pick<Repair, 'push' | 'context' | 'ledger'>,
  from: string,
  name: WalFileName,
  path: string,
): Promise<WaldenError | undefined> {
  try {
    await push(name, path);
    return undefined;
  } catch (error) {
    if (isWaldenError(error, 'ARCHIVE_DUPLICATE')) {
      ledger.differs(name, from, error);
      return error;
    }
    if (!isWaldenError(error, ...BAD_BYTES)) throw error;
    // Nobody waits for it to be archived: what was offered was only tried.
    await context.catalog.clearRefusal(context.cluster, name);
    return error;
  }
}

export function isBehindFork({ archive, context }: Pick<Repair, 'archive' | 'context'>, run: SegmentRun): boolean {
  const fork = forkOf(archive.histories, run.timeline, context.identity.segmentBytes);
  return fork !== undefined && run.last >= fork.segment;
}

/** Apart by whether it lies behind the place where the newest timeline left its own. */
export function noteRepaired({ archive, context, ledger }: Repair, from: string, run: SegmentRun): void {
  const fork = forkOf(archive.histories, run.timeline, context.identity.segmentBytes);
  if (fork === undefined || run.last < fork.segment) {
    ledger.repaired(run, from, false);
    return;
  }
  if (run.first < fork.segment) ledger.repaired({ ...run, last: fork.segment - 1n }, from, false);
  ledger.repaired({ ...run, first: run.first < fork.segment ? fork.segment : run.first }, from, true);
}

function reasonOf(error: WaldenError): string {
  return error.code === 'SERVER_UNREACHABLE' ? `unreachable: ${error.message}` : error.message;
}
