import type { ClusterIdentity, ClusterName, SegmentRun } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import { inParallel } from '../platform/in-parallel.ts';
import { ProgressMeter, type WorkProgress } from '../platform/progress-meter.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import type { Micros } from '../postgres/timestamp.ts';
import { segmentNumber, type WalFileName } from '../postgres/wal-name.ts';
import { withParents } from '../repository/backup-chain.ts';
import { readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { copyClusterFile, readClusterFile } from '../repository/cluster-file.ts';
import { walPrefix } from '../repository/keys.ts';
import { readStoredWalFile } from '../repository/rebuild-wal.ts';
import { storedBackups } from '../repository/stored-backups.ts';
import { compareListings, type ListedPair } from '../repository/compare-listings.ts';
import { holdsSegment } from '../wal/segment-runs.ts';
import { copyBackup, type CopyWay } from './copy-backup.ts';
import type { CopiedCluster, CopyControls, CopyDeps } from './copy-deps.ts';
import { copyWalFile } from './copy-wal-file.ts';
import { ObjectProblems } from './problems.ts';

const FILES_AT_ONCE = 4;

export interface SyncOrder extends CopyWay {
  readonly clusters: readonly ClusterName[];
  /** Only backups that began then or later, what they build on, and WAL from the first of these on. */
  readonly since?: Micros | undefined;
}

/** What was copied: JSON, kept as the result of the job. */
export interface SyncResult {
  readonly walFiles: number;
  readonly backups: number;
  readonly bytes: number;
}

interface SyncedCluster extends CopiedCluster {
  readonly backups: readonly StoredBackup[];
  /** The first segment to copy. */
  readonly from: bigint;
  /** What retention has removed from where it is copied to: that stays out of it. */
  readonly expired: readonly SegmentRun[];
}

/**
 * Makes one repository hold what another one holds, byte for byte: what stands in the stores decides, not the catalog,
 * which is told of everything that is found and copied. Nothing is overwritten or removed, and what retention has removed is
 * not brought back. Begun again, it goes on where it ended.
 * @throws NOT_FOUND when FROM knows none of the clusters; at the end, for objects that could not be copied, as
 * `ObjectProblems`; INTERRUPTED, LOCAL_IO, and the codes of stores out of reach
 */
export async function syncRepository(
  deps: CopyDeps,
  order: SyncOrder,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (progress: WorkProgress) => void },
): Promise<SyncResult> {
  const problems = new ObjectProblems();
  const clusters: SyncedCluster[] = [];
  for (const cluster of order.clusters) {
    const synced = await prepare(deps, order, cluster, problems, signal);
    if (synced !== undefined) clusters.push(synced);
  }
  if (clusters.length === 0) {
    throw new WaldenError('NOT_FOUND', `repository ${order.from.name} holds nothing of ${order.clusters.join(', ')}`);
  }
  let bytes = 0;
  for (const cluster of clusters) bytes += await bytesToCopy(order, cluster, signal);
  const meter = new ProgressMeter(deps.clock, bytes, onProgress);
  const done = { walFiles: 0, backups: 0, bytes: 0 };
  const controls = {
    signal,
    onDone: (stored: number, how: 'copied' | 'present'): void => {
      if (how === 'copied') done.bytes += stored;
      meter.add(stored, 1);
    },
  };
  for (const cluster of clusters) {
    meter.phase(`WAL of ${cluster.cluster}`);
    await inParallel(walPairs(order, cluster, signal), FILES_AT_ONCE, async (pair) => {
      signal.throwIfAborted();
      try {
        if (await syncWalFile(deps, order, cluster, pair, controls)) done.walFiles += 1;
      } catch (error) {
        signal.throwIfAborted();
        problems.add(pair.info.key, error);
      }
    });
    meter.phase(`backups of ${cluster.cluster}`);
    for (const { start } of cluster.backups) {
      try {
        if ((await copyBackup(deps, cluster, order, start.id, controls)) === 'copied') done.backups += 1;
      } catch (error) {
        signal.throwIfAborted();
        problems.add(`backup ${start.id}`, error);
      }
    }
  }
  problems.throwIfAny('copied');
  return done;
}

/** Undefined when FROM does not know the cluster. @throws SERVER_MISMATCH when TO knows another one under this name */
async function prepare(
  { catalog }: CopyDeps,
  { from, to, since }: SyncOrder,
  cluster: ClusterName,
  problems: ObjectProblems,
  signal: AbortSignal,
): Promise<SyncedCluster | undefined> {
  const file = await readClusterFile(from, cluster);
  if (file === undefined) return undefined;
  const identity = file.history.at(-1) ?? file.history[0];
  await copyClusterFile(from, to, cluster, identity);
  await catalog.registerCluster(cluster, identity);
  const all: StoredBackup[] = [];
  for await (const { id, complete } of storedBackups(from.driver, cluster, signal)) {
    if (!complete) continue;
    try {
      all.push(await readBackupRecord(from, cluster, id, signal));
    } catch (error) {
      signal.throwIfAborted();
      problems.add(`backup ${id}`, error);
    }
  }
  const expired = await catalog.expired(to.name, cluster);
  const backups = withParents(
    all,
    all.filter(({ start }) => (since === undefined || start.startedAt >= since) && !expired.backups.includes(start.id)),
    ({ start, facts }) => ({ id: start.id, parent: facts.parent }),
  );
  return { cluster, identity, backups, from: since === undefined ? 0n : firstNeeded(backups), expired: expired.wal };
}

/** Nothing when there is no backup. */
function firstNeeded(backups: readonly StoredBackup[]): bigint {
  const starts = backups.map(({ facts }) => segmentNumber(facts.startLsn, facts.identity.segmentBytes));
  return starts.reduce((least, start) => (start < least ? start : least), 1n << 64n);
}

async function bytesToCopy(order: SyncOrder, cluster: SyncedCluster, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const { info, there } of walPairs(order, cluster, signal)) if (there === undefined) bytes += info.size;
  for (const { packs, manifest } of cluster.backups) {
    for (const object of [...packs, manifest]) bytes += object.bytes;
  }
  return bytes;
}

async function* walPairs(
  { from, to }: CopyWay,
  { cluster, from: first, identity, expired }: SyncedCluster,
  signal: AbortSignal,
): AsyncGenerator<ListedPair> {
  const prefix = walPrefix(cluster);
  const pairs = compareListings(from.driver.list(prefix, { signal }), to.driver.list(prefix, { signal }));
  for await (const pair of pairs) {
    const place = placeOfKey(pair.info.key, identity);
    const isWanted =
      place === undefined || (place.segment >= first && !holdsSegment(expired, place.timeline, place.segment));
    if (isWanted) yield pair;
  }
}

/** Undefined for a history file, and for what is not named like a WAL object: reading it tells. */
function placeOfKey(
  key: string,
  { segmentBytes }: ClusterIdentity,
): { readonly timeline: TimelineId; readonly segment: bigint } | undefined {
  const name = /\/([0-9A-F]{24})[^/]*$/.exec(key)?.[1];
  if (name === undefined) return undefined;
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  const segment = BigInt(`0x${name.slice(8, 16)}`) * perLog + BigInt(`0x${name.slice(16)}`);
  return { timeline: Number.parseInt(name.slice(0, 8), 16) as TimelineId, segment };
}

/** Whether it was copied. What is there already is recorded by what stands in its head. */
async function syncWalFile(
  deps: CopyDeps,
  { from, to }: CopyWay,
  { cluster, identity }: SyncedCluster,
  { info, there }: ListedPair,
  controls: CopyControls,
): Promise<boolean> {
  const { signal } = controls;
  const { catalog } = deps;
  const name = /([^/]*)\.zst$/.exec(info.key)?.[1] ?? '';
  const known = there === undefined ? undefined : await catalog.walFile(to.name, cluster, name as WalFileName);
  if (known !== undefined && known.storedBytes === there?.size) {
    const source = await catalog.walFile(from.name, cluster, known.name);
    if (source?.sha256 === known.sha256 && source.storedBytes === info.size) return false;
  }
  const record = await readStoredWalFile({ repository: from, cluster, signal }, info, identity);
  if (there === undefined) {
    await copyWalFile(deps, { cluster, identity }, { from, to }, record, controls);
    return true;
  }
  const present = await readStoredWalFile({ repository: to, cluster, signal }, there, identity);
  if (present.sha256 !== record.sha256) {
    throw new WaldenError('ARCHIVE_DUPLICATE', `repository ${to.name} holds ${record.name} with other bytes`);
  }
  await catalog.recordWalFile(present);
  return false;
}
