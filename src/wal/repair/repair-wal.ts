import type { SegmentRun } from '../../../catalog/catalog.ts';
import { isWaldenError, toWaldenError, type WaldenError } from '../../errors.ts';
import { ProgressMeter } from '../../platform/progress-meter.ts';
import type { HostList } from '../../postgres/conninfo.ts';
import { countSegments } from '../segment-runs.ts';
import { type ArchiveState, missingSegments, readArchive } from './archive-state.ts';
import { bringHistories } from './bring-histories.ts';
import { bringReadyFiles } from './bring-ready-files.ts';
import { type DirectoryPlace, DirectorySource } from './directory-source.ts';
import { GIVEN_UP, noteRepaired, type Repair, type RepairControls, type RepairDeps, storeSegment } from './repair.ts';
import { RepairLedger, throwWhatIsWrong, type WalRepairResult } from './repair-ledger.ts';
import { ServerSource } from './server-source.ts';
import type { WalSource } from './wal-source.ts';

/** Where missing WAL may be. `isNamed`: by an operator, in the configuration or in the order. */
export type RepairNode =
  | {
      readonly kind: 'server';
      readonly name: string;
      readonly isNamed: boolean;
      readonly config: HostList['hosts'][number];
    }
  | ({ readonly kind: 'directory' } & Omit<DirectoryPlace, 'histories'>);

export interface RepairOrder {
  /** In the order in which they are asked. */
  readonly nodes: readonly RepairNode[];
  readonly dryRun: boolean;
}

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
  ledger.wants(missingSegments(repair.archive));
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

function reasonOf(error: WaldenError): string {
  return error.code === 'SERVER_UNREACHABLE' ? `unreachable: ${error.message}` : error.message;
}
