import { isDeepStrictEqual } from 'node:util';
import type { BackupRecord } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import { ProgressMeter, type WorkProgress } from '../platform/progress-meter.ts';
import { readBackupRecord, type StoredBackup } from '../repository/backup-record.ts';
import { chainOf } from '../repository/backup-chain.ts';
import { backupRecordKey } from '../repository/keys.ts';
import { isAway, type Repository } from '../repository/repository.ts';
import { backupSegments, type CompleteBackup } from '../wal/archive-view.ts';
import { completeBackups } from '../wal/view-archive.ts';
import { DAMAGED } from './check-objects.ts';
import { missingSegments } from './missing-segments.ts';
import { bytesOf, type HeldStretch, heldWal, planVerification } from './plan-verification.ts';
import { holesOf, usableBackups } from './usable-backups.ts';
import type { RepositoryVerification, VerifyDeps, VerifyLimit, VerifyOrder, VerifyResult } from './verify-deps.ts';
import { throwWhatIsWrong } from './verdict.ts';
import { objectsOf, RepositoryVerifier } from './verify-repository.ts';

const NAMED = 100;

export interface VerifyControls {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: WorkProgress) => void;
}

/**
 * Reads what the repositories hold of a cluster again, oldest verification first, and compares it with its checksums; looks for
 * missing segments among all; asks of each backup whether it can be recovered. What is bad is marked, and not chosen by a
 * restore from then on.
 * @throws at the end what was found: the code of the first damaged object, BACKUP_INVALID, ARCHIVE_GAP, or why a repository
 * could not be looked at, with the VerifyResult in `details.result`; NOT_FOUND for a backup that no repository holds;
 * INTERRUPTED
 */
export async function verifyCluster(
  deps: VerifyDeps,
  order: VerifyOrder,
  { signal, onProgress }: VerifyControls,
): Promise<VerifyResult> {
  const works: RepositoryWork[] = [];
  for (const target of order.repositories) works.push(await planWork(deps, order, target, signal));
  if (order.backup !== undefined && works.every(({ stored, broken }) => stored.length + broken.length === 0)) {
    throw new WaldenError('NOT_FOUND', `cluster ${order.cluster} has no complete backup ${order.backup}`, {
      hint: `list them with: walden list ${order.cluster}`,
    });
  }
  const total = works.flatMap(({ stretches }) => stretches).reduce((sum, stretch) => sum + bytesOf(stretch), 0);
  const meter = new ProgressMeter(deps.clock, Math.round(total), onProgress);
  const repositories: RepositoryVerification[] = [];
  for (const work of works) repositories.push(await verifyRepository(deps, order, work, { signal, meter }));
  const result: VerifyResult = { cluster: order.cluster, repositories };
  throwWhatIsWrong(result);
  return result;
}

/** What is to be read in one repository. */
interface RepositoryWork {
  readonly target: Repository;
  readonly stored: readonly StoredBackup[];
  /** Whose commit record is damaged. */
  readonly broken: readonly { readonly backup: BackupRecord; readonly error: WaldenError }[];
  readonly stretches: readonly HeldStretch[];
  readonly failure: WaldenError | undefined;
}

async function planWork(
  { catalog }: VerifyDeps,
  { cluster, backup: wanted, limit, repositories }: VerifyOrder,
  target: Repository,
  signal: AbortSignal,
): Promise<RepositoryWork> {
  const stored: StoredBackup[] = [];
  const broken: { readonly backup: BackupRecord; readonly error: WaldenError }[] = [];
  const all = await completeBackups(catalog, cluster, target.name);
  const backups =
    wanted === undefined
      ? all
      : withItsChain(
          all.find(({ id }) => id === wanted),
          all,
        );
  try {
    for (const backup of backups) {
      signal.throwIfAborted();
      try {
        stored.push(await readKnown(target, backup, signal));
      } catch (error) {
        if (!isWaldenError(error, ...DAMAGED)) throw error;
        broken.push({ backup, error });
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isAway(error)) throw error;
    return { target, stored, broken, stretches: [], failure: error };
  }
  const ranges = await catalog.walRanges(target.name, cluster);
  const wal = wanted === undefined ? heldWal(ranges) : ownWal(backups, heldWal(ranges));
  const held = [...stored.flatMap(heldObjects), ...wal];
  await noteObjects({ catalog }, target, stored);
  const spans = await catalog.proof.verifiedSpans(target.name, cluster);
  const budget = budgetOf(limit, held, repositories.length);
  return { target, stored, broken, stretches: planVerification(held, spans, budget), failure: undefined };
}

/** The commit record, which must be the one that the catalog knows: another one would be another backup. */
async function readKnown(
  target: Repository,
  { cluster, id, facts }: CompleteBackup,
  signal: AbortSignal,
): Promise<StoredBackup> {
  const stored = await readBackupRecord(target, cluster, id, signal);
  if (isDeepStrictEqual(stored.facts, facts)) return stored;
  const what = `the record of backup ${id} in repository ${target.name}`;
  throw new WaldenError('CHECKSUM_MISMATCH', `${what} is not the one that the catalog knows`);
}

function withItsChain(backup: CompleteBackup | undefined, all: readonly CompleteBackup[]): readonly CompleteBackup[] {
  return backup === undefined ? [] : chainOf(backup, all);
}

function heldObjects(backup: StoredBackup): readonly HeldStretch[] {
  const row = { kind: 'backup', backup: backup.start.id } as const;
  return objectsOf(backup).map(({ position, bytes }) => ({ row, first: position, last: position, bytesEach: bytes }));
}

/** The WAL without which these backups are none. */
function ownWal(backups: readonly CompleteBackup[], wal: readonly HeldStretch[]): readonly HeldStretch[] {
  return backups.flatMap((backup) => {
    const { from, to } = backupSegments(backup);
    return wal
      .filter(({ row }) => row.kind === 'wal' && row.timeline === backup.facts.timeline)
      .map((stretch) => ({
        ...stretch,
        first: stretch.first > from ? stretch.first : from,
        last: stretch.last < to ? stretch.last : to,
      }))
      .filter(({ first, last }) => first <= last);
  });
}

/** Only their records say how many objects backups have: with that the catalog can tell which were never verified. */
async function noteObjects(
  { catalog }: Pick<VerifyDeps, 'catalog'>,
  { name }: Repository,
  stored: readonly StoredBackup[],
): Promise<void> {
  const [first] = stored;
  const spans = first === undefined ? [] : await catalog.proof.verifiedSpans(name, first.start.cluster);
  const known = new Set(spans.map(({ row }) => (row.kind === 'backup' ? row.backup : undefined)));
  for (const { start, packs } of stored) {
    if (known.has(start.id)) continue;
    const row = { kind: 'backup', backup: start.id } as const;
    const span = { row, first: 0n, last: BigInt(packs.length), verifiedAt: undefined };
    await catalog.proof.recordVerified(name, start.cluster, span);
  }
}

function budgetOf(limit: VerifyLimit | undefined, held: readonly HeldStretch[], repositories: number): number {
  if (limit === undefined) return Infinity;
  if (limit.kind === 'bytes') return limit.bytes / repositories;
  return limit.share * held.reduce((sum, stretch) => sum + bytesOf(stretch), 0);
}

async function verifyRepository(
  deps: VerifyDeps,
  order: VerifyOrder,
  work: RepositoryWork,
  { signal, meter }: { readonly signal: AbortSignal; readonly meter: ProgressMeter },
): Promise<RepositoryVerification> {
  const { target } = work;
  const { cluster } = order;
  const onRead = (bytes: number): void => {
    meter.add(bytes, 1);
  };
  const verifier = new RepositoryVerifier(deps, order, target, await marksIn(deps, order, target), { signal, onRead });
  let { failure } = work;
  if (failure === undefined) {
    meter.phase(`repository ${target.name}`);
    try {
      await readObjects(deps, order, work, verifier, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isAway(error)) throw error;
      failure = error;
    }
  }
  const damaged = await marksIn(deps, order, target);
  const { objects, bytes, rightAgain } = verifier;
  return {
    repository: target.name,
    ...{ objects, bytes, rightAgain: rightAgain.slice(0, NAMED), damagedObjects: damaged.length },
    damaged: damaged.slice(0, NAMED).map(({ key, error }) => ({ key, message: error.message })),
    holes: await holesOf(deps.catalog, cluster, target),
    ...(await usableBackups(deps, cluster, target, signal)),
    failure: failure === undefined ? null : { code: failure.code, message: failure.message, hint: failure.hint },
  };
}

async function readObjects(
  { catalog }: VerifyDeps,
  { cluster, backup: wanted }: VerifyOrder,
  { target, stored, broken, stretches }: RepositoryWork,
  verifier: RepositoryVerifier,
  signal: AbortSignal,
): Promise<void> {
  for (const { backup, error } of broken) {
    await verifier.mark(backupRecordKey(cluster, backup.id), { kind: 'backup', backup: backup.id }, error);
  }
  for (const { start } of stored) await verifier.recordIsRight(backupRecordKey(cluster, start.id));
  await verifier.lookAgain(stored);
  if (wanted === undefined) {
    for await (const record of missingSegments(catalog, cluster, target, signal)) await verifier.walFile(record);
    // Few and small, and without a history no timeline can be reached.
    for (const record of await catalog.otherWalFiles(target.name, cluster)) await verifier.walFile(record);
  }
  for (const stretch of stretches) await verifier.stretch(stretch, stored);
}

async function marksIn(
  { catalog }: VerifyDeps,
  { cluster }: VerifyOrder,
  { name }: Repository,
): Promise<readonly DamagedObject[]> {
  return (await catalog.proof.damagedObjects(cluster)).filter(({ repository }) => repository === name);
}
