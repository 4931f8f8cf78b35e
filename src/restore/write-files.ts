import { createHash } from 'node:crypto';
import { chmod, chown, lchown, mkdir, rename, symlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { isWaldenError, WaldenError } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import type { Clock } from '../platform/clock.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import type { StoredBackup } from '../repository/backup-record.ts';
import { packKey } from '../repository/keys.ts';
import { isEntryPath, type ManifestDirectory } from '../repository/manifest.ts';
import { readManifest } from '../repository/manifest-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { runOnObject } from '../repository/run-on-object.ts';
import type { BackupSources } from './backup-sources.ts';
import { type Batch, batchesOf } from './batches.ts';
import { type FileToRestore, restoreFilesTask } from './restore-files-task.ts';
import type { TablespacePlace } from './tablespaces.ts';
import { asLocalError, type Owner } from './target-directory.ts';

/** Where one restore takes its files from and puts them to. */
export interface FilesToWrite {
  readonly sources: BackupSources;
  readonly backup: StoredBackup;
  readonly dataDirectory: string;
  readonly tablespaces: readonly TablespacePlace[];
  readonly owner: Owner | undefined;
  /** Batches in flight; each occupies a worker. */
  readonly parallel: number;
}

export interface WriteTools {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** After each batch: plain bytes and files that became durable. */
  readonly onWritten: (bytes: number, files: number) => void;
}

/** What stands on the disk, complete but for pg_control, which waits under another name. */
export interface WrittenFiles {
  /** Every directory that got entries. */
  readonly directories: readonly string[];
  readonly files: number;
  readonly bytes: number;
}

const CONTROL_FILE = 'global/pg_control';
const ATTEMPTS = 3;
const RETRY_AFTER_MS = 500;

function pendingControlFile(dataDirectory: string): string {
  return join(dataDirectory, `${CONTROL_FILE}.walden-incomplete`);
}

/**
 * Writes all files of the backup and makes them durable, but leaves `global/pg_control` under a temporary name: without
 * it PostgreSQL does not start. The manifest is read twice: once wholly, to check it before a byte is written.
 * @throws CHECKSUM_MISMATCH, FORMAT_INVALID, BACKUP_INVALID, LOCAL_IO, INTERRUPTED, and the codes of a store out of reach
 */
export async function writeFiles(work: FilesToWrite, tools: WriteTools): Promise<WrittenFiles> {
  const { sources, backup } = work;
  const { repository, directories } = await sources.firstOf(tools.signal, async (source) => ({
    repository: source,
    ...(await surveyManifest(source, backup, tools.signal)),
  }));
  const made = await makeDirectories(work, directories);
  const batches = batchesOf(readManifest(repository, backup, tools.signal));
  const total = { files: 0, bytes: 0 };
  const stop = new AbortController();
  const signal = AbortSignal.any([tools.signal, stop.signal]);
  const run = async (): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      // Several runners share one generator: it hands out each batch once, in order.
      const next = await batches.next();
      if (next.done === true) return;
      const written = await restoreBatch(work, next.value, { ...tools, signal });
      total.files += written.files;
      total.bytes += written.bytes;
      tools.onWritten(written.bytes, written.files);
    }
  };
  const runners = Array.from({ length: Math.max(1, work.parallel) }, () =>
    run().catch((error: unknown) => {
      // The first failure is the one to tell; the others are only its echo.
      if (!stop.signal.aborted) stop.abort(error);
    }),
  );
  await Promise.all(runners);
  await batches.return();
  if (tools.signal.aborted) throw interrupted(tools.signal);
  if (stop.signal.aborted) throw stop.signal.reason;
  return { directories: made, ...total };
}

/** The last step of all: from here on PostgreSQL can start from this directory. */
export async function publishControlFile(dataDirectory: string): Promise<void> {
  try {
    await rename(pendingControlFile(dataDirectory), join(dataDirectory, CONTROL_FILE));
    await syncDirectory(join(dataDirectory, 'global'));
  } catch (error) {
    throw asLocalError(error, `unable to put ${CONTROL_FILE} into place`);
  }
}

async function surveyManifest(
  repository: Repository,
  backup: StoredBackup,
  signal: AbortSignal,
): Promise<{ readonly directories: readonly ManifestDirectory[] }> {
  const directories: ManifestDirectory[] = [];
  const wanted = new Map<string, string | undefined>([
    [CONTROL_FILE, undefined],
    // Without its label a backup starts from the wrong checkpoint and is silently corrupt.
    ['backup_label', createHash('sha256').update(backup.backupLabel).digest('hex')],
  ]);
  for await (const entry of readManifest(repository, backup, signal)) {
    if (entry.type === 'directory') directories.push(entry);
    if (entry.type !== 'file' || !wanted.has(entry.path)) continue;
    const expected = wanted.get(entry.path);
    if (expected === undefined || expected === entry.sha256) wanted.delete(entry.path);
  }
  const [missing] = wanted.keys();
  if (missing !== undefined) {
    const object = `backup ${backup.start.id} in repository ${repository.name}`;
    throw new WaldenError('BACKUP_INVALID', `${object} has no ${missing}, or not the one that it was taken with`);
  }
  return { directories };
}

async function makeDirectories(
  work: FilesToWrite,
  directories: readonly ManifestDirectory[],
): Promise<readonly string[]> {
  const { dataDirectory, tablespaces, owner } = work;
  const made = [dataDirectory, ...tablespaces.map(({ location }) => location)];
  try {
    // Parents sort before what they hold. A directory that is named twice is made once.
    const links = { path: 'pg_tblspc', mode: 0o700 };
    for (const { path, mode } of [links, ...directories].sort((a, b) => (a.path < b.path ? -1 : 1))) {
      const target = targetPath(work, path);
      await mkdir(target, { recursive: true, mode: 0o700 });
      if (owner !== undefined) await chown(target, owner.uid, owner.gid);
      await chmod(target, mode & 0o777);
      made.push(target);
    }
    for (const { oid, location } of tablespaces) {
      const link = join(dataDirectory, 'pg_tblspc', `${oid}`);
      await symlink(location, link);
      if (owner !== undefined) await lchown(link, owner.uid, owner.gid);
    }
    // initdb --allow-group-access marks the whole tree: PostgreSQL takes 0700 and 0750 only.
    const group = directories.find(({ path }) => path === 'global');
    if (group !== undefined && (group.mode & 0o050) === 0o050) await chmod(dataDirectory, 0o750);
  } catch (error) {
    throw asLocalError(error, `unable to make the directories of ${dataDirectory}`);
  }
  return made;
}

/** Where an entry goes. Paths come from outside: what would leave the directory is refused here once more. */
function targetPath({ dataDirectory, tablespaces }: FilesToWrite, path: string): string {
  if (!isEntryPath(path)) throw new WaldenError('FORMAT_INVALID', `${JSON.stringify(path)} leads out of the directory`);
  if (path === CONTROL_FILE) return pendingControlFile(dataDirectory);
  const inTablespace = /^pg_tblspc\/(\d+)\/(.+)$/.exec(path);
  const place = tablespaces.find(({ oid }) => `${oid}` === inTablespace?.[1]);
  const [root, below] = place === undefined ? [dataDirectory, path] : [place.location, inTablespace?.[2] ?? ''];
  const target = join(root, below);
  if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new WaldenError('INTERNAL', `${JSON.stringify(path)} leads out of ${root}`);
  }
  return target;
}

async function restoreBatch(
  work: FilesToWrite,
  batch: Batch,
  tools: WriteTools,
): Promise<{ readonly files: number; readonly bytes: number }> {
  let attempts = 0;
  return await work.sources.firstOf(tools.signal, async (repository) => {
    for (let attempt = 1; ; attempt += 1) {
      attempts += 1;
      try {
        return await tryBatch(work, repository, batch, tools, attempts > 1);
      } catch (error) {
        const again = attempt < ATTEMPTS && isWaldenError(error, 'STORAGE_UNAVAILABLE', 'STORAGE_SIZE');
        if (!again || tools.signal.aborted) throw error;
        await tools.clock.sleep(RETRY_AFTER_MS * attempt, tools.signal);
      }
    }
  });
}

async function tryBatch(
  work: FilesToWrite,
  repository: Repository,
  batch: Batch,
  { pool, signal }: WriteTools,
  again: boolean,
): Promise<{ readonly files: number; readonly bytes: number }> {
  const { backup, owner } = work;
  const key = packKey(backup.start.cluster, backup.start.id, batch.pack);
  const files = batch.files.map(({ path, size, mode, mtime, sha256, skip, frames }): FileToRestore => ({
    path,
    target: targetPath(work, path),
    size,
    mode,
    mtime,
    sha256,
    skip,
    frames,
  }));
  const object = { driver: repository.driver, key, offset: batch.offset, length: batch.storedBytes, signal };
  const what = `${key} of repository ${repository.name}`;
  return await runOnObject(pool, restoreFilesTask, object, (bytes) => ({ bytes, files, object: what, again, owner }));
}

export function interrupted(signal: AbortSignal): WaldenError {
  const reason: unknown = signal.reason;
  return isWaldenError(reason)
    ? reason
    : new WaldenError('INTERRUPTED', 'the restore was interrupted', { cause: reason });
}
