import type { BackupId } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import { ProgressMeter, type WorkProgress } from '../platform/progress-meter.ts';
import { secondsBefore } from './expiry-input.ts';
import {
  correctExpired,
  executeExpiry,
  type ExpiryDone,
  finishRemovals,
  removeLeftovers,
  Tally,
} from './execute-expiry.ts';
import { gatherInput, gatherLeftovers, type RetentionOrder, type RetentionPlace } from './gather-input.ts';
import type { Leftovers } from './leftovers.ts';
import { type ExpiryPlan, isIdle, planExpiry } from './plan-expiry.ts';
import type { ArchiveSurvey } from './survey-archive.ts';

export interface ExpiryControls {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: WorkProgress) => void;
}

/** What is, or would be, done in one repository. */
export interface RepositoryExpiry {
  readonly plan: ExpiryPlan;
  readonly leftovers: Leftovers;
  readonly unknown: ArchiveSurvey['unknown'];
}

type Order = Omit<RetentionOrder, 'refused'>;

/** Says what would go. @throws as gatherInput */
export async function previewExpiry(
  place: RetentionPlace,
  order: Order,
  signal: AbortSignal,
  refused: RetentionOrder['refused'] = new Map(),
): Promise<RepositoryExpiry> {
  const gathered = await gatherInput(place, { ...order, refused }, signal);
  const plan = planExpiry(gathered.input);
  const leftovers = await gatherLeftovers(place, gathered, plan, order.isActive);
  return { plan, leftovers, unknown: gathered.survey.unknown };
}

/**
 * Removes what nothing speaks for. Killed at any point, it is completed by the next run.
 * @returns what was done, and what the last plan says of the rest
 * @throws STORAGE_DENIED when nothing may be removed there, INTERRUPTED, and as gatherInput
 */
export async function expireRepository(
  place: RetentionPlace,
  order: Order,
  { clock, signal, onProgress }: ExpiryControls,
): Promise<RepositoryExpiry & { readonly done: ExpiryDone }> {
  const tally = new Tally();
  const refused = new Map<BackupId, string>();
  const refuse = (id: BackupId | undefined): void => {
    if (id !== undefined)
      refused.set(id, `the store does not let it go: ${tally.refusals.told.at(-1)?.message ?? 'it is locked'}`);
  };
  refuse(await finishRemovals(place, tally));
  let found = await previewExpiry(place, order, signal, refused);
  const { assertUndisturbed } = order;
  const lockedSince = order.lockSeconds === undefined ? undefined : secondsBefore(order.now, order.lockSeconds);
  try {
    for (; !isIdle(found.plan); found = await previewExpiry(place, order, signal, refused)) {
      const meter = new ProgressMeter(clock, bytesThatGo(found.plan), onProgress);
      const id = await executeExpiry(
        place,
        found.plan,
        { clock, signal, meter, lockedSince, assertUndisturbed },
        tally,
      );
      if (id === undefined) break;
      refuse(id);
    }
  } finally {
    await correctExpired(place, clock);
  }
  await removeLeftovers(place, found.leftovers, tally);
  return { ...found, done: tally.done };
}

/** Of the backups: how much WAL goes is known only file by file. */
function bytesThatGo({ backups }: ExpiryPlan): number {
  return backups.go.reduce((sum, { facts }) => sum + facts.storedBytes, 0);
}
