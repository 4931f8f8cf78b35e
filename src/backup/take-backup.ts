import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorToDocument, isWaldenError, localIoError, toWaldenError, WaldenError } from '../errors.ts';
import type { BackupFacts, BackupId, BackupRecord, BackupStart } from '../../catalog/catalog.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { claimBackup } from '../repository/backup-claim.ts';
import { assertParentStored } from '../repository/parent-backup.ts';
import { placeToStage } from '../repository/repository.ts';
import { markActive, markEnded } from './active-backups.ts';
import type { BackupControls, BackupDeps, BackupRequest } from './backup-deps.ts';
import type { CopiedCluster, CopyContext, OpenedSource } from './backup-source.ts';
import { type BackupKind, chooseBackupId } from './choose-id.ts';
import { assertStored, commitBackup, type CommitFailure, storeManifest } from './commit-backup.ts';
import { openFiles } from './open-files.ts';
import { createPackControl, STOP } from './pack-input.ts';
import { ProgressReport } from './progress.ts';
import { reconcileBackups } from './reconcile.ts';
import { removeBackupObjects } from '../repository/remove-backup.ts';
import { stagingName, sweepBackups, sweepStaging } from './sweep.ts';
import { openStream } from './stream/open-stream.ts';
import { neededWal, waitForWal } from './wait-for-wal.ts';

const WAL_PATIENCE_SECONDS = 180;

/**
 * Takes a base backup of a running server, full or incremental, into every repository of the cluster from one read: from its files, or over
 * the replication protocol.
 *
 * States: opened in the catalog (the lock) → copied, the server in backup mode → stopped → WAL from start to stop seen in
 * every repository → manifest → `backup.json`, which makes it a backup → complete in the catalog. A failure before
 * `backup.json` leaves a failed entry, and its objects are removed now or by the next sweep.
 * @throws LOCK_HELD, SERVER_*, ARCHIVE_TIMEOUT, STORAGE_*, LOCAL_IO, INTERRUPTED (the signal), USAGE (the label), and what
 * the source throws
 */
export async function takeBackup(
  deps: BackupDeps,
  request: BackupRequest,
  controls: BackupControls,
): Promise<BackupRecord[]> {
  checkLabel(request.label);
  try {
    return await take(deps, request, controls);
  } catch (error) {
    throw isWaldenError(error) || !controls.signal.aborted ? error : abortReason(controls.signal);
  }
}

async function take(deps: BackupDeps, request: BackupRequest, controls: BackupControls): Promise<BackupRecord[]> {
  const { name } = request.cluster;
  await reconcileBackups(deps, name, deps.repositories);
  await sweepBackups(deps, name, deps.repositories, controls.signal);
  const source = await openSource(deps, request);
  try {
    const start = await openBackup(deps, request, source.parent === undefined ? 'full' : 'incremental');
    try {
      return await takeOpened({ deps, request, controls, source, start });
    } finally {
      markEnded(deps.catalog, name, start.id);
    }
  } finally {
    await source.close();
  }
}

async function openSource(deps: BackupDeps, request: BackupRequest): Promise<OpenedSource> {
  const { backup } = request.cluster;
  if (backup.source === 'files' && request.parent !== undefined) {
    throw new WaldenError(
      'CONFIG_INVALID',
      'incremental backups come over the replication protocol, and backup_source is "files"',
      {
        hint: `set backup_source = "stream" in [cluster.${request.cluster.name}]`,
      },
    );
  }
  return backup.source === 'files' ? await openFiles(deps, request, backup) : await openStream(deps, request, backup);
}

interface OpenedBackup {
  readonly deps: BackupDeps;
  readonly request: BackupRequest;
  readonly controls: BackupControls;
  readonly source: OpenedSource;
  readonly start: Omit<BackupStart, 'repository'>;
}

/** The entry in the catalog is the lock inside this service, the claim in each repository that among services. */
async function openBackup(deps: BackupDeps, request: BackupRequest, kind: BackupKind): Promise<OpenedBackup['start']> {
  const now = deps.clock.now();
  for (;;) {
    const start = await openEntry(deps, request, now, kind);
    const { cluster, id } = start;
    try {
      for (const repository of deps.repositories) await claimBackup(repository, cluster, id, deps.instance);
      deps.log.info({ cluster, backup: id }, `backup ${id} begins`);
      return start;
    } catch (error) {
      if (isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) {
        // Another service took this second a moment ago. The next id is one that no repository knows.
        for (const { name } of deps.repositories) await deps.catalog.forgetBackup(name, cluster, id);
      } else {
        await giveUp(deps, start, toWaldenError(error));
      }
      markEnded(deps.catalog, cluster, id);
      if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    }
  }
}

async function openEntry(
  deps: BackupDeps,
  request: BackupRequest,
  now: Date,
  kind: BackupKind,
): Promise<OpenedBackup['start']> {
  const { catalog, repositories } = deps;
  const { name } = request.cluster;
  const id = await chooseBackupId(deps, name, now, kind);
  const start = { cluster: name, id, label: request.label, startedAt: microsFromDate(now) };
  markActive(catalog, name, id);
  try {
    await catalog.openBackup(repositories.map((repository) => ({ repository: repository.name, ...start })));
  } catch (error) {
    markEnded(catalog, name, id);
    throw error;
  }
  return start;
}

async function takeOpened(opened: OpenedBackup): Promise<BackupRecord[]> {
  const { deps, start, controls, source } = opened;
  let failures: readonly CommitFailure[];
  let committed: readonly BackupRecord[];
  try {
    ({ committed, failures } = await work(opened));
  } catch (thrown) {
    // After an abort whatever fails fails because of it.
    const error = controls.signal.aborted ? abortReason(controls.signal) : toWaldenError(thrown);
    // Ends backup mode before anything else: the server should not wait for a clean-up.
    await source.close();
    await giveUp(deps, start, error);
    throw error;
  }
  for (const failure of failures) await recordFailure(deps, start, failure);
  const [first] = failures;
  if (first === undefined) return [...committed];
  const names = committed.map(({ repository }) => repository).join(', ');
  throw new WaldenError(
    first.error.code,
    `backup ${start.id} failed in repository ${first.repository.name}: ${first.error.message}`,
    names === '' ? {} : { hint: `backup ${start.id} is complete in: ${names}` },
  );
}

async function work(opened: OpenedBackup): ReturnType<typeof commitBackup> {
  const { deps, request, start, controls, source } = opened;
  const directory = await stagingDirectory(deps, start);
  const control = createPackControl();
  const stop = (): void => {
    Atomics.store(control, STOP, 1n);
  };
  controls.signal.addEventListener('abort', stop);
  let copied: CopiedCluster | undefined;
  try {
    controls.signal.throwIfAborted();
    const progress = new ProgressReport(deps.clock, control, controls.onProgress);
    const context = { deps, request, id: start.id, directory, control, progress, signal: controls.signal };
    copied = await source.copy(context);
    return await commitCopied(opened, context, copied);
  } finally {
    controls.signal.removeEventListener('abort', stop);
    await copied?.entries.abandon();
    await removeStaged(opened, directory);
  }
}

async function commitCopied(
  opened: OpenedBackup,
  { progress, signal }: Pick<CopyContext, 'progress' | 'signal'>,
  copied: CopiedCluster,
): ReturnType<typeof commitBackup> {
  const { deps, request, start } = opened;
  const { stopped, packs, entries } = copied;
  tellCorrupt(opened, copied.corrupt);
  progress.enter('waiting for WAL');
  const needed = neededWal(stopped.timeline, stopped.startLsn, stopped.stopLsn, request.identity.segmentBytes);
  const patienceSeconds = request.walPatienceSeconds ?? WAL_PATIENCE_SECONDS;
  await waitForWal(deps, start.cluster, needed, { signal, patienceSeconds, hint: copied.walHint });
  progress.enter('storing the manifest');
  const manifest = await entries.end();
  await storeManifest(deps.repositories, start, { ...manifest, path: entries.staged.path }, signal);
  for (const repository of deps.repositories) await assertStored(repository, start, { packs, manifest }, signal);
  const facts = factsOf(opened, copied, manifest.bytes);
  for (const repository of deps.repositories) await assertParentStored(repository, { start, facts }, signal);
  signal.throwIfAborted();
  const { backupLabel, tablespaceMap } = stopped;
  // Nothing may fail after this: the backup exists from here on.
  return await commitBackup(deps, start, facts, { backupLabel, tablespaceMap, packs, manifest });
}

function factsOf({ deps, request, source }: OpenedBackup, copied: CopiedCluster, manifestBytes: number): BackupFacts {
  const { stopped, packs, entries, corrupt, checksumsVerified, tablespaces } = copied;
  return {
    identity: request.identity,
    parent: source.parent?.start.id,
    timeline: stopped.timeline,
    startLsn: stopped.startLsn,
    stopLsn: stopped.stopLsn,
    stoppedAt: stopped.stoppedAt,
    finishedAt: microsFromDate(deps.clock.now()),
    files: entries.files,
    plainBytes: entries.plainBytes,
    storedBytes: packs.reduce((sum, { bytes }) => sum + bytes, manifestBytes),
    checksumsVerified,
    corruptPages: corrupt,
    tablespaces,
  };
}

function tellCorrupt({ deps, start }: OpenedBackup, corrupt: BackupFacts['corruptPages']): void {
  for (const { path, blocks } of corrupt) {
    deps.log.warn(
      { cluster: start.cluster, backup: start.id, path, blocks },
      `${blocks.length} corrupt pages in ${path}: the backup is kept and holds them as they are`,
    );
  }
}

async function stagingDirectory(deps: BackupDeps, start: OpenedBackup['start']): Promise<string> {
  const place = placeToStage(deps.repositories) ?? deps.stagingDirectory;
  const directory = join(place, stagingName(start.cluster, start.id));
  try {
    await sweepStaging(place, start.cluster);
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw localIoError(error, `unable to make the staging directory ${directory}`);
  }
  return directory;
}

/** Never fails: when this runs the backup may exist already. The next backup sweeps what stays. */
async function removeStaged({ deps, start }: OpenedBackup, directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true });
  } catch (error) {
    const { message } = toWaldenError(error);
    deps.log.warn({ cluster: start.cluster, backup: start.id }, `unable to remove ${directory}: ${message}`);
  }
}

/** The failed entry comes first: from then on the next run knows what to sweep. */
async function giveUp(deps: BackupDeps, start: OpenedBackup['start'], error: WaldenError): Promise<void> {
  const { cluster, id } = start;
  deps.log.warn({ cluster, backup: id }, `backup ${id} failed, and backup mode was ended: ${error.message}`);
  for (const repository of deps.repositories) {
    await recordFailure(deps, start, { repository, error, uncertain: false });
  }
}

/** Never fails, so that the first error is the one that is told. */
async function recordFailure(deps: BackupDeps, start: OpenedBackup['start'], failure: CommitFailure): Promise<void> {
  const { repository, error, uncertain } = failure;
  const { cluster, id } = start;
  try {
    await deps.catalog.failBackup(repository.name, cluster, id, errorToDocument(error));
  } catch (unrecorded) {
    const { message } = toWaldenError(unrecorded);
    deps.log.warn({ cluster, backup: id, repository: repository.name }, `unable to record the failure: ${message}`);
  }
  // Where backup.json may yet appear, the next sweep looks what came of it.
  if (!uncertain) await removeNow(deps, repository, cluster, id);
}

async function removeNow(
  { log }: BackupDeps,
  { name, driver }: BackupDeps['repositories'][number],
  cluster: BackupStart['cluster'],
  id: BackupId,
): Promise<void> {
  try {
    await removeBackupObjects(driver, cluster, id);
  } catch (error) {
    const { message } = toWaldenError(error);
    log.warn({ cluster, backup: id, repository: name }, `the next backup removes what is left of ${id}: ${message}`);
  }
}

function abortReason({ reason }: AbortSignal): WaldenError {
  return isWaldenError(reason) ? reason : new WaldenError('INTERRUPTED', 'the backup was interrupted');
}

function checkLabel(label: string): void {
  if (/^[^\p{Cc}]{1,200}$/u.test(label)) return;
  throw new WaldenError('USAGE', 'the label of a backup must be 1 to 200 characters without line breaks');
}
