import type { BackupId, BackupRecord, Catalog, ClusterName, HoldRecord } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import type { RetentionPolicy } from '../config/config.ts';
import { WaldenError } from '../errors.ts';
import { parseTimelineHistory } from '../postgres/timeline-history.ts';
import type { Micros } from '../postgres/timestamp.ts';
import {
  parseWalName,
  type SegmentBytes,
  segmentName,
  segmentNumberOfName,
  type WalFileName,
} from '../postgres/wal-name.ts';
import { ABANDONED_MICROS, claimantOf, type ServiceInstance } from '../repository/backup-claim.ts';
import { readBackupRecord } from '../repository/backup-record.ts';
import { readHolds } from '../repository/hold-file.ts';
import { startOfBackupId } from '../repository/names.ts';
import type { Repository } from '../repository/repository.ts';
import { backupSegments, type CompleteBackup } from '../wal/archive-view.ts';
import { completeBackups } from '../wal/view-archive.ts';
import { holdsSegment } from '../wal/segment-runs.ts';
import { type ExpiryInput, placeOf, placesAsked } from './expiry-input.ts';
import { type Leftovers, planLeftovers } from './leftovers.ts';
import type { ExpiryPlan } from './plan-expiry.ts';
import { type ArchiveSurvey, surveyArchive } from './survey-archive.ts';

/** One cluster in one repository. */
export interface RetentionPlace {
  readonly catalog: Catalog;
  readonly repository: Repository;
  readonly cluster: ClusterName;
  readonly segmentBytes: SegmentBytes;
  readonly instance: ServiceInstance;
}

export interface RetentionOrder {
  readonly policy: RetentionPolicy;
  /** When it is, or is to be. */
  readonly now: Micros;
  /** A later day is looked at, as if archiving had gone on until then. */
  readonly isSimulated: boolean;
  readonly lockSeconds: number | undefined;
  readonly refused: ExpiryInput['refused'];
  readonly restored: ExpiryInput['restored'];
  /** Asked once what goes is marked, before anything is removed. @throws LOCK_HELD when somebody may have planned with it */
  readonly assertUndisturbed: () => Promise<void>;
  readonly awaited: ExpiryInput['awaited'];
  readonly arriving: ExpiryInput['arriving'];
  /** Whether this process takes or copies the backup right now. */
  readonly isActive: (id: BackupId) => boolean;
}

export interface GatheredArchive {
  readonly input: ExpiryInput;
  readonly survey: ArchiveSurvey;
  readonly rows: readonly BackupRecord[];
}

/**
 * What the planner has to know, by the catalog and by a look at the repository itself, whose word counts.
 * @throws CATALOG_INCOMPLETE when the repository holds a backup that the catalog does not know, and the codes of a store out
 * of reach
 */
export async function gatherInput(
  place: RetentionPlace,
  order: RetentionOrder,
  signal: AbortSignal,
): Promise<GatheredArchive> {
  const { catalog, repository, cluster, segmentBytes } = place;
  const { policy, now, lockSeconds, refused, restored, awaited, arriving } = order;
  const survey = await surveyArchive(repository.driver, cluster, signal);
  await assertKnown(place, survey, await rowsOf(place));
  const rows = await rowsOf(place);
  const backups = await completeBackups(catalog, cluster, repository.name);
  const histories = await catalog.timelineHistories(repository.name, cluster);
  const wal = {
    ...{
      repository: repository.name,
      cluster,
      segmentBytes,
      ranges: await catalog.walRanges(repository.name, cluster),
    },
    histories: histories.map(({ history, timeline }) => parseTimelineHistory(history ?? '', timeline)),
    expired: await catalog.expired(repository.name, cluster),
  };
  const windowEnd = order.isSimulated ? now : await newestTold(place, wal.ranges, backups, now);
  const input: ExpiryInput = {
    ...wal,
    ...{ policy, now, windowEnd, lockSeconds, refused, restored, awaited, arriving },
    backups,
    doubts: doubtsOf(place, backups, survey, await catalog.proof.damagedObjects(cluster)),
    running: await running(place, survey, rows, order),
    others: await catalog.otherWalFiles(repository.name, cluster),
    writtenAt: await momentsOf(place, wal),
    holds: await allHolds(place, signal),
  };
  return { input, survey, rows };
}

/** What crashed work left in it, once the plan is carried out. */
export async function gatherLeftovers(
  { catalog, repository, cluster, segmentBytes }: RetentionPlace,
  { survey, rows, input }: GatheredArchive,
  plan: ExpiryPlan,
  isActive: (id: BackupId) => boolean,
): Promise<Leftovers> {
  // Nothing at all while no backup is usable.
  if (plan.blocked !== undefined) return { backups: [], holds: [], unfinished: [] };
  const settled = new Set<WalFileName>();
  const removed = [...plan.expired.wal, ...plan.wal.go];
  for (const { segment } of survey.unfinished) {
    const stored = await catalog.walFile(repository.name, cluster, segment);
    const { timeline } = parseWalName(segment);
    const isGone = holdsSegment(removed, timeline, segmentNumberOfName(segment, segmentBytes));
    if (stored !== undefined || isGone) settled.add(segment);
  }
  const underWay = [...input.running, ...input.arriving.map(({ id }) => id)];
  const busy = new Set([...underWay, ...[...survey.backups.keys()].filter(isActive)]);
  return planLeftovers(survey, { now: input.now, rows, busy, settled });
}

async function rowsOf({ catalog, repository, cluster }: RetentionPlace): Promise<readonly BackupRecord[]> {
  return (await catalog.backups(cluster)).filter((row) => row.repository === repository.name);
}

/** The WAL of a backup that nobody knows, and what it builds on, would be taken from under it. */
async function assertKnown(
  { catalog, repository, cluster }: RetentionPlace,
  survey: ArchiveSurvey,
  rows: readonly BackupRecord[],
): Promise<void> {
  const known = new Map(rows.map(({ id, state }) => [id, state]));
  for (const [id, { isComplete }] of survey.backups) {
    if (!isComplete) continue;
    const state = known.get(id);
    if (state === 'failed') {
      // It had been completed after all.
      const { start, facts } = await readBackupRecord(repository, cluster, id);
      await catalog.completeBackup(start, facts);
    }
    if (state !== undefined) continue;
    throw new WaldenError(
      'CATALOG_INCOMPLETE',
      `repository ${repository.name} holds backup ${id} of cluster ${cluster}, which the catalog does not know`,
      { hint: 'nothing was removed there; run: walden catalog rebuild' },
    );
  }
}

/** What a restore would not choose must not be what others are removed in favour of. */
function doubtsOf(
  { repository, segmentBytes }: RetentionPlace,
  backups: readonly CompleteBackup[],
  survey: ArchiveSurvey,
  damaged: readonly DamagedObject[],
): ReadonlyMap<BackupId, string> {
  const doubts = new Map<BackupId, string>();
  const parts = damaged.flatMap((one) => (one.repository === repository.name ? [one.part] : []));
  for (const part of parts) if (part.kind === 'backup') doubts.set(part.backup, 'objects of it were found damaged');
  const lost = parts.flatMap((part) => (part.kind === 'wal' ? [parseWalName(part.name)] : []));
  for (const backup of backups) {
    const { id, facts } = backup;
    const { from, to } = backupSegments(backup);
    const isOwn = (segment: bigint): boolean => from <= segment && segment <= to;
    const own = lost.find(
      ({ kind, name, timeline }) =>
        kind === 'segment' && timeline === facts.timeline && isOwn(segmentNumberOfName(name, segmentBytes)),
    );
    if (own !== undefined) doubts.set(id, `${own.name}, which it needs, was found damaged`);
    if (survey.backups.get(id)?.isComplete !== true) doubts.set(id, 'its backup.json is missing');
  }
  return doubts;
}

/** Also those of other services that use the same repository. */
async function running(
  { repository, cluster, instance }: RetentionPlace,
  survey: ArchiveSurvey,
  rows: readonly BackupRecord[],
  { now, arriving }: RetentionOrder,
): Promise<readonly BackupId[]> {
  const ids = rows.filter(({ state }) => state === 'running').map(({ id }) => id);
  for (const [id, { isComplete, isClaimed }] of survey.backups) {
    const isKnown = rows.some((row) => row.id === id) || arriving.some((one) => one.id === id);
    if (isComplete || !isClaimed || isKnown || now - startOfBackupId(id) > ABANDONED_MICROS) continue;
    const claimant = await claimantOf(repository, cluster, id);
    if (claimant !== instance && claimant !== 'nobody') ids.push(id);
  }
  return ids;
}

async function momentsOf(
  { catalog, repository, cluster, segmentBytes }: RetentionPlace,
  wal: Parameters<typeof placesAsked>[0],
): Promise<ReadonlyMap<string, Micros>> {
  const moments = new Map<string, Micros>();
  for (const { timeline, segment } of placesAsked(wal)) {
    const file = await catalog.walFile(repository.name, cluster, segmentName(timeline, segment, segmentBytes));
    if (file === undefined) continue;
    // The server's clock may be ahead of this one.
    const commit = file.index?.lastCommit ?? file.archivedAt;
    moments.set(placeOf(timeline, segment), commit > file.archivedAt ? commit : file.archivedAt);
  }
  return moments;
}

/**
 * The newest moment that the server itself has told, or now. A clock of this host that is far ahead, or a cluster that is
 * gone, must not shorten what can be reached, nor end what somebody holds.
 */
async function newestTold(
  { catalog, repository, cluster }: RetentionPlace,
  ranges: ExpiryInput['ranges'],
  backups: ExpiryInput['backups'],
  now: Micros,
): Promise<Micros> {
  const told = backups.map(({ facts }) => facts.stoppedAt);
  for (const { timeline, first, last } of ranges) {
    const commits = await catalog.commitBounds(repository.name, cluster, { timeline, from: first, to: last });
    if (commits.last !== undefined) told.push(commits.last);
  }
  const newest = told.reduce((latest, moment) => (moment > latest ? moment : latest), told[0] ?? now);
  return newest < now ? newest : now;
}

/**
 * Of this repository as it says itself, which the catalog learns; of the others as the catalog knows them: a hold in one of
 * them keeps the copies in the others too.
 */
async function allHolds(
  { catalog, repository, cluster }: RetentionPlace,
  signal: AbortSignal,
): Promise<readonly HoldRecord[]> {
  const here = await readHolds(repository, cluster, signal);
  const known = await catalog.holds(cluster);
  for (const hold of here) await catalog.recordHold(hold);
  for (const { repository: where, backup } of known) {
    if (where !== repository.name || here.some((hold) => hold.backup === backup)) continue;
    await catalog.forgetHold(where, cluster, backup);
  }
  return [...here, ...known.filter((hold) => hold.repository !== repository.name)];
}
