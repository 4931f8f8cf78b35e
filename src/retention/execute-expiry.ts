import type { BackupId, ExpiredArchive } from '../../catalog/catalog.ts';
import { isWaldenError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { inParallel } from '../platform/in-parallel.ts';
import type { ProgressMeter } from '../platform/progress-meter.ts';
import { microsFromDate, type Micros } from '../postgres/timestamp.ts';
import { segmentName, type WalFileName } from '../postgres/wal-name.ts';
import { putExpired } from '../repository/expired-file.ts';
import { withParents } from '../repository/backup-chain.ts';
import { backupRecordKey, holdPrefix } from '../repository/keys.ts';
import { removeBackupObjects, removeOtherObjects } from '../repository/remove-backup.ts';
import { withoutRuns } from '../wal/segment-runs.ts';
import type { RetentionPlace } from './gather-input.ts';
import type { Leftovers } from './leftovers.ts';
import type { ExpiryPlan } from './plan-expiry.ts';

/** Removals of WAL files under way at the same time. */
const FILES_AT_ONCE = 8;

/** What the store would not let go, and until when, where it says so. */
export interface Refusal {
  readonly what: string;
  readonly message: string;
  readonly until: string | undefined;
}

export interface ExpiryDone {
  readonly backups: readonly BackupId[];
  readonly walFiles: number;
  readonly leftovers: number;
  /** The first hundred. */
  readonly refused: readonly Refusal[];
}

export interface ExpiryControls {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly meter: ProgressMeter;
  /** Nothing younger can be removed: it is not even tried. */
  readonly lockedSince: Micros | undefined;
  /** As RetentionOrder. */
  readonly assertUndisturbed: () => Promise<void>;
}

/**
 * Ends the removals that an earlier run began: what is marked in the catalog and still there.
 * @returns a backup that the store refused to let go, if there is one
 * @throws STORAGE_DENIED, and the codes of a store out of reach
 */
export async function finishRemovals(place: RetentionPlace, tally: Tally): Promise<BackupId | undefined> {
  const { catalog, repository, cluster } = place;
  const rows = (await catalog.backups(cluster)).filter(
    (row) => row.repository === repository.name && row.state === 'removing',
  );
  const ordered = withParents(rows, rows, ({ id, facts }) => ({ id, parent: facts?.parent })).toReversed();
  return await removeMarked(
    place,
    ordered.map(({ id }) => id),
    tally,
  );
}

/**
 * Carries the plan out as far as the store lets it: says in repository and catalog what will be gone, then removes backups,
 * what builds on another one before it, and then the WAL. A crash at any point leaves a state that the next run completes.
 * @returns the backup that the store refused to let go: what it needs stays too, so the rest has to be planned anew
 * @throws STORAGE_DENIED, LOCK_HELD when it was disturbed, and the codes of a store out of reach
 */
export async function executeExpiry(
  place: RetentionPlace,
  plan: ExpiryPlan,
  controls: ExpiryControls,
  tally: Tally,
): Promise<BackupId | undefined> {
  const { catalog, repository, cluster } = place;
  const { signal, meter } = controls;
  await recordExpired(place, plan.expired, controls.clock);
  const { go } = plan.backups;
  // All of them before the first goes: a restore that begins now chooses none of them.
  for (const { id } of go) await catalog.markRemoving(repository.name, cluster, id);
  try {
    await controls.assertUndisturbed();
  } catch (error) {
    await keepAfterAll(place, go.map(({ id }) => id).toReversed());
    throw error;
  }
  meter.phase('backups');
  const sizes = new Map(go.map(({ id, facts }) => [id, facts.storedBytes]));
  const refused = await removeMarked(
    place,
    go.map(({ id }) => id),
    tally,
    (id) => {
      meter.add(sizes.get(id) ?? 0, 1);
      signal.throwIfAborted();
    },
  );
  if (refused !== undefined) return refused;
  meter.phase('WAL');
  await inParallel(namesThatGo(place, plan), FILES_AT_ONCE, async (name) => {
    signal.throwIfAborted();
    const bytes = await removeWalFile(place, name, controls.lockedSince, tally.refusals);
    if (bytes === undefined) return;
    tally.walFiles += 1;
    meter.add(bytes, 1);
  });
  return undefined;
}

/** Removes what crashed work left. @throws the codes of a store out of reach */
export async function removeLeftovers(place: RetentionPlace, leftovers: Leftovers, tally: Tally): Promise<void> {
  const { catalog, repository, cluster } = place;
  const { driver } = repository;
  const rows = (await catalog.backups(cluster)).filter((row) => row.repository === repository.name);
  for (const id of leftovers.backups) {
    const isKnown = rows.some((row) => row.id === id);
    await tally.refusals.unless(`what is left of backup ${id}`, async () => {
      if (isKnown) await catalog.markRemoving(repository.name, cluster, id);
      await removeBackupObjects(driver, cluster, id);
      if (isKnown) await catalog.forgetBackup(repository.name, cluster, id);
      tally.leftovers += 1;
    });
  }
  for (const id of leftovers.holds) {
    await tally.refusals.unless(`holds of backup ${id}`, async () => {
      await removeHolds(place, id);
      tally.leftovers += 1;
    });
  }
  for (const { key } of leftovers.unfinished) {
    await tally.refusals.unless(key, async () => {
      await driver.remove(key);
      tally.leftovers += 1;
    });
  }
}

/** What is marked as removed and yet there, since the store would not let it go, is not gone. */
export async function correctExpired(place: RetentionPlace, clock: Clock): Promise<void> {
  const { catalog, repository, cluster } = place;
  const expired = await catalog.expired(repository.name, cluster);
  const wal = withoutRuns(expired.wal, await catalog.walRanges(repository.name, cluster));
  const complete = new Set(
    (await catalog.backups(cluster))
      .filter((row) => row.repository === repository.name && row.state === 'complete')
      .map(({ id }) => id),
  );
  const backups = expired.backups.filter((id) => !complete.has(id));
  await recordExpired(place, { backups, wal }, clock);
}

/** Counts while the work is done, so that what was done before a failure can be told too. */
export class Tally {
  readonly backups: BackupId[] = [];
  readonly refusals = new Refusals();
  walFiles = 0;
  leftovers = 0;

  get done(): ExpiryDone {
    const { backups, walFiles, leftovers, refusals } = this;
    return { backups: [...backups], walFiles, leftovers, refused: refusals.told };
  }
}

/** What is locked keeps nothing else back. */
export class Refusals {
  static readonly #TOLD = 100;
  readonly #told: Refusal[] = [];
  #count = 0;

  get told(): readonly Refusal[] {
    return this.#told;
  }

  get count(): number {
    return this.#count;
  }

  /** Whether the work was done. @throws what is no refusal of the store */
  async unless(what: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isWaldenError(error, 'STORAGE_LOCKED')) throw error;
      this.#count += 1;
      const { until } = error.details;
      if (this.#told.length < Refusals.#TOLD) {
        this.#told.push({ what, message: error.message, until: typeof until === 'string' ? until : undefined });
      }
      return false;
    }
  }
}

/** In the repository first. Nothing where nothing changes. */
async function recordExpired(place: RetentionPlace, expired: ExpiredArchive, clock: Clock): Promise<void> {
  const { catalog, repository, cluster, segmentBytes } = place;
  if (sameExpired(await catalog.expired(repository.name, cluster), expired)) return;
  await putExpired(repository, cluster, expired, { now: microsFromDate(clock.now()), segmentBytes });
  await catalog.recordExpired(repository.name, cluster, expired);
}

function sameExpired(one: ExpiredArchive, other: ExpiredArchive): boolean {
  const textOf = ({ backups, wal }: ExpiredArchive): string =>
    [...backups, ...wal.map(({ timeline, first, last }) => `${timeline}/${first}-${last}`)].join(' ');
  return textOf(one) === textOf(other);
}

/**
 * What is marked, in this order: what builds on another one before it. When the store refuses the first object of one, that
 * and all the rest are backups as before: what builds on them may be among those that stay.
 * @returns the one that was refused
 */
async function removeMarked(
  place: RetentionPlace,
  ids: readonly BackupId[],
  tally: Tally,
  removed: (id: BackupId) => void = () => undefined,
): Promise<BackupId | undefined> {
  const { cluster, repository } = place;
  for (const [index, id] of ids.entries()) {
    const rest = ids.slice(index).toReversed();
    try {
      const record = backupRecordKey(cluster, id);
      if (!(await tally.refusals.unless(`backup ${id}`, () => repository.driver.remove(record)))) {
        await keepAfterAll(place, rest);
        return id;
      }
    } catch (error) {
      if (isWaldenError(error, 'STORAGE_DENIED')) await keepAfterAll(place, rest);
      throw error;
    }
    await removeRest(place, id, tally.refusals);
    tally.backups.push(id);
    removed(id);
  }
  return undefined;
}

/** Without its record there is no such backup. What is locked yet stays marked for the next time. */
async function removeRest(place: RetentionPlace, id: BackupId, refusals: Refusals): Promise<void> {
  const { catalog, repository, cluster } = place;
  await refusals.unless(`objects of backup ${id}`, async () => {
    await removeOtherObjects(repository.driver, cluster, id);
    await removeHolds(place, id);
    await catalog.forgetHold(repository.name, cluster, id);
    await catalog.forgetBackup(repository.name, cluster, id);
  });
}

/** Parents first. One whose record had been removed before stays marked. */
async function keepAfterAll({ catalog, repository, cluster }: RetentionPlace, ids: readonly BackupId[]): Promise<void> {
  for (const id of ids) {
    try {
      await repository.driver.stat(backupRecordKey(cluster, id));
    } catch (error) {
      if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) continue;
      throw error;
    }
    await catalog.cancelRemoval(repository.name, cluster, id);
  }
}

async function removeHolds({ repository, cluster }: RetentionPlace, id: BackupId): Promise<void> {
  const keys = [];
  for await (const { key } of repository.driver.list(holdPrefix(cluster, id))) keys.push(key);
  for (const key of keys) await repository.driver.remove(key);
}

/** The stored bytes; undefined when it stays. */
async function removeWalFile(
  { catalog, repository, cluster }: RetentionPlace,
  name: WalFileName,
  lockedSince: Micros | undefined,
  refusals: Refusals,
): Promise<number | undefined> {
  const file = await catalog.walFile(repository.name, cluster, name);
  if (file === undefined || (lockedSince !== undefined && file.archivedAt > lockedSince)) return undefined;
  const isGone = await refusals.unless(name, () => repository.driver.remove(file.key));
  if (!isGone) return undefined;
  await catalog.forgetWalFile(repository.name, cluster, name);
  return file.storedBytes;
}

function* namesThatGo({ segmentBytes }: RetentionPlace, { wal }: ExpiryPlan): Generator<WalFileName> {
  for (const { timeline, first, last } of wal.go) {
    for (let number = first; number <= last; number += 1n) yield segmentName(timeline, number, segmentBytes);
  }
  yield* wal.others;
}
