import type { BackupRecord, ClusterIdentity, ClusterName, WalFileRecord } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { isWaldenError, type WaldenError } from '../errors.ts';
import { inParallel } from '../platform/in-parallel.ts';
import { ProgressMeter, type WorkProgress } from '../platform/progress-meter.ts';
import { MAX_RECORD_BYTES, readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { backupRecordKey, manifestKey, packKey } from '../repository/keys.ts';
import {
  bodyOfBytes,
  bodyOfObject,
  bodyOfStored,
  readSmallObject,
  type StoredObject,
} from '../repository/object-bytes.ts';
import { byPreference, type Repository } from '../repository/repository.ts';
import { checkObject, checkWalFile, DAMAGED, damageOf } from '../verify/check-objects.ts';
import type { CopyDeps } from './copy-deps.ts';
import { withVerifiedCopy } from './copy-wal-file.ts';
import { ObjectProblems } from './problems.ts';

const FILES_AT_ONCE = 2;
const NAMED = 100;
/** Of a repository that cannot give a copy; another may. */
const NOT_TO_BE_HAD = ['STORAGE_UNAVAILABLE', 'SERVER_MISMATCH', 'KEY_MISSING', 'KEY_REFUSED'] as const;

export interface RepairOrder {
  readonly target: Repository;
  /** Where good copies may be. */
  readonly sources: readonly Repository[];
  readonly clusters: readonly { readonly cluster: ClusterName; readonly identity: ClusterIdentity }[];
}

/** What was done: JSON, kept as the result of the job. */
export interface RepairResult {
  readonly objects: number;
  readonly bytes: number;
  /** Those that were damaged or missing and are right again. */
  readonly repaired: number;
  /** Keys of the first hundred of these. */
  readonly repairedKeys: readonly string[];
}

interface Repair extends RepairOrder {
  readonly deps: CopyDeps;
  readonly signal: AbortSignal;
  readonly problems: ObjectProblems;
  /** The object is right, and was so before unless `repaired`. */
  readonly right: (object: { readonly key: ObjectKey; readonly bytes: number; readonly repaired: boolean }) => void;
}

/**
 * Reads every object that the catalog knows in a repository, and replaces what is damaged or missing by another
 * repository's copy, each of which is checked first. This is the only step that replaces objects that matter.
 * @throws at the end, for objects of which no good copy was found, as `ObjectProblems`; INTERRUPTED, LOCAL_IO, and the
 * codes of stores out of reach
 */
export async function repairRepository(
  deps: CopyDeps,
  order: RepairOrder,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (progress: WorkProgress) => void },
): Promise<RepairResult> {
  const problems = new ObjectProblems();
  const marked = await markedKeys(deps, order);
  const meter = new ProgressMeter(deps.clock, await bytesToRead(deps, order), onProgress);
  const repairedKeys: string[] = [];
  const rightAgain: ObjectKey[] = [];
  let [objects, bytes, repaired] = [0, 0, 0];
  const repair: Repair = {
    ...{ ...order, deps, signal, problems },
    right(object) {
      objects += 1;
      bytes += object.bytes;
      meter.add(object.bytes, 1);
      if (marked.has(object.key)) rightAgain.push(object.key);
      if (!object.repaired) return;
      repaired += 1;
      if (repairedKeys.length < NAMED) repairedKeys.push(object.key);
    },
  };
  try {
    for (const place of order.clusters) {
      meter.phase(`WAL of ${place.cluster}`);
      const files = deps.catalog.walFiles(order.target.name, place.cluster);
      await inParallel(files, FILES_AT_ONCE, (file) =>
        one(repair, file.key, () => repairWalFile(repair, place.identity, file)),
      );
      meter.phase(`backups of ${place.cluster}`);
      for (const backup of await completeBackups(deps, order.target, place.cluster)) await repairBackup(repair, backup);
    }
  } finally {
    // Also of what was repaired before it was ended.
    for (const key of rightAgain) {
      const cluster = marked.get(key);
      if (cluster !== undefined) await deps.catalog.proof.unmarkDamaged(order.target.name, cluster, key);
    }
  }
  problems.throwIfAny('repaired');
  return { objects, bytes, repaired, repairedKeys };
}

/** What a verification found to be bad in this repository, and of which cluster it is. */
async function markedKeys(
  { catalog }: CopyDeps,
  { target, clusters }: RepairOrder,
): Promise<ReadonlyMap<ObjectKey, ClusterName>> {
  const marked = new Map<ObjectKey, ClusterName>();
  for (const { cluster } of clusters) {
    for (const { repository, key } of await catalog.proof.damagedObjects(cluster)) {
      if (repository === target.name) marked.set(key, cluster);
    }
  }
  return marked;
}

async function bytesToRead({ catalog }: CopyDeps, { target, clusters }: RepairOrder): Promise<number> {
  let bytes = 0;
  for (const { cluster } of clusters) {
    for (const { storedBytes } of await catalog.walRanges(target.name, cluster)) bytes += storedBytes;
    for (const { facts } of await completeBackups({ catalog }, target, cluster)) bytes += facts?.storedBytes ?? 0;
  }
  return bytes;
}

async function completeBackups(
  { catalog }: Pick<CopyDeps, 'catalog'>,
  { name }: Repository,
  cluster: ClusterName,
): Promise<readonly BackupRecord[]> {
  return (await catalog.backups(cluster)).filter(
    ({ repository, state }) => repository === name && state === 'complete',
  );
}

/** Works on one object; what only concerns that one is noted. */
async function one({ problems, signal }: Repair, object: string, work: () => Promise<void>): Promise<void> {
  signal.throwIfAborted();
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    problems.add(object, error);
  }
}

async function repairWalFile(repair: Repair, identity: ClusterIdentity, file: WalFileRecord): Promise<void> {
  const { deps, target, signal, right } = repair;
  const { cluster, key, storedBytes } = file;
  const place = { cluster, identity };
  const damage = await damageOf(() => checkWalFile(deps.pool, target, file, identity, signal));
  if (damage === undefined) {
    right({ key, bytes: storedBytes, repaired: false });
    return;
  }
  await fromAnother(repair, damage, async (from) => {
    const record = await deps.catalog.walFile(from.name, cluster, file.name);
    if (record?.sha256 !== file.sha256) throw damage;
    await withVerifiedCopy(deps, place, { from, to: target }, record, signal, async (staged, stored) => {
      await target.driver.put(key, bodyOfStored(staged, stored), { ifExists: 'replace', signal });
      await deps.catalog.recordWalFile({ ...record, repository: target.name, key, storedBytes: stored.bytes });
    });
    right({ key, bytes: storedBytes, repaired: true });
  });
}

async function repairBackup(repair: Repair, { cluster, id, facts }: BackupRecord): Promise<void> {
  const { target, signal } = repair;
  const key = backupRecordKey(cluster, id);
  await one(repair, key, async () => {
    let backup: StoredBackup | undefined;
    const damage = await damageOf(async () => {
      backup = await readBackupRecord(target, cluster, id, signal);
    });
    if (damage !== undefined) {
      await fromAnother(repair, damage, async (from) => {
        const found = await readBackupRecord(from, cluster, id, signal);
        // Another backup under the same id would be no repair.
        if (found.facts.stopLsn !== facts?.stopLsn || found.facts.stoppedAt !== facts.stoppedAt) throw damage;
        const bytes = await readSmallObject(from.driver, key, MAX_RECORD_BYTES, signal);
        await target.driver.put(key, bodyOfBytes(bytes), { ifExists: 'replace', signal });
        backup = found;
        repair.right({ key, bytes: bytes.byteLength, repaired: true });
      });
    }
    if (backup !== undefined) await repairObjects(repair, backup);
  });
}

async function repairObjects(repair: Repair, { start, packs, manifest }: StoredBackup): Promise<void> {
  const { cluster, id } = start;
  const objects = packs.map((stored, index) => ({ key: packKey(cluster, id, index + 1), stored }));
  for (const { key, stored } of [...objects, { key: manifestKey(cluster, id), stored: manifest }]) {
    await one(repair, key, () => repairObject(repair, key, stored));
  }
}

async function repairObject(repair: Repair, key: ObjectKey, stored: StoredObject): Promise<void> {
  const { target, signal, right } = repair;
  const damage = await damageOf(() => checkObject(target, key, stored, signal));
  if (damage !== undefined) {
    await fromAnother(repair, damage, async (from) => {
      // The driver takes only what has this hash.
      const body = bodyOfObject(from.driver, key, stored, signal);
      await target.driver.put(key, body, { ifExists: 'replace', signal });
    });
  }
  right({ key, bytes: stored.bytes, repaired: damage !== undefined });
}

/** @throws the damage, when nobody has a good copy */
async function fromAnother(
  { sources, signal }: Repair,
  damage: WaldenError,
  bring: (from: Repository) => Promise<void>,
): Promise<void> {
  for (const from of byPreference(sources)) {
    try {
      await bring(from);
      return;
    } catch (error) {
      signal.throwIfAborted();
      // Out of reach, or damaged too: the next one may have it. What prevents the repair itself is told.
      if (!isWaldenError(error, ...DAMAGED, ...NOT_TO_BE_HAD)) throw error;
    }
  }
  throw damage;
}
