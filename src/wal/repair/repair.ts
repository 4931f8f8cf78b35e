import type { SegmentRun } from '../../../catalog/catalog.ts';
import { isWaldenError, type WaldenError } from '../../errors.ts';
import type { ProgressMeter, WorkProgress } from '../../platform/progress-meter.ts';
import { segmentName, type WalFileName } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { ArchiveState } from './archive-state.ts';
import { forkOf } from './node-history.ts';
import type { RepairLedger } from './repair-ledger.ts';

export interface RepairDeps {
  readonly context: ArchiveContext;
  /** The one way in: validates, stores write-once in every required repository, records. */
  readonly push: (name: WalFileName, path: string) => Promise<void>;
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

/** Why a node gives nothing more. */
export const GIVEN_UP = ['SERVER_UNREACHABLE', 'SERVER_QUERY'] as const;
/** What is wrong with the bytes that a node gave, and with nothing else. */
const BAD_BYTES = ['FORMAT_INVALID', 'SERVER_MISMATCH', 'ARCHIVE_FILE_MISSING'] as const;
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
