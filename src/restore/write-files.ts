import { createHash } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import type { StoredBackup } from '../repository/backup-record.ts';
import { packKey } from '../repository/keys.ts';
import type { ManifestDirectory, ManifestEntry } from '../repository/manifest.ts';
import { readManifest } from '../repository/manifest-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { runOnObject } from '../repository/run-on-object.ts';
import { type Batch, batchesOf } from './batches.ts';
import type { DeltaWork } from './delta/delta-work.ts';
import { type BackupToRead, readAgain, workInFlight, type WriteTools } from './in-flight.ts';
import { CONTROL_FILE, makeDirectories, type RestorePlaces, targetPath } from './places.ts';
import { type FileToRestore, restoreFilesTask } from './restore-files-task.ts';

/** Where one restore takes its files from and puts them to. */
export interface FilesToWrite extends BackupToRead, RestorePlaces {
  /** Batches in flight; each occupies a worker. */
  readonly parallel: number;
  /** Undefined: the directories are empty. */
  readonly delta?: DeltaWork | undefined;
}

/** What stands on the disk, complete but for pg_control, which waits under another name. */
export interface WrittenFiles {
  /** Every directory that got entries. */
  readonly directories: readonly string[];
  readonly files: number;
  readonly bytes: number;
}

/**
 * Writes all files of a full backup that are not kept, and makes them durable, but leaves `global/pg_control` under a temporary name: without
 * it PostgreSQL does not start. The manifest is read twice: once wholly, to check it before a byte is written.
 * @throws CHECKSUM_MISMATCH, FORMAT_INVALID, BACKUP_INVALID, LOCAL_IO, INTERRUPTED, and the codes of a store out of reach
 */
export async function writeFiles(work: FilesToWrite, tools: WriteTools): Promise<WrittenFiles> {
  const { sources, backup, delta } = work;
  const { repository, directories } = await sources.firstOf(tools.signal, async (source) => {
    delta?.begin();
    const note = (entry: ManifestEntry): void => delta?.note(entry);
    return { repository: source, directories: await surveyManifest(source, backup, tools.signal, note) };
  });
  await delta?.removeOthers();
  const made = await makeDirectories(work, directories);
  const total = { files: 0, bytes: 0 };
  const entries = (): AsyncIterable<ManifestEntry> => readManifest(repository, backup, tools.signal);
  const left = (await delta?.left(entries)) ?? entries();
  await workInFlight(batchesOf(left), work.parallel, tools.signal, async (batch, signal) => {
    const written = await restoreBatch(work, batch, work, { ...tools, signal });
    total.files += written.files;
    total.bytes += written.bytes;
    tools.onWritten(written.bytes, written.files);
  });
  return { directories: made, ...total };
}

/**
 * Reads a manifest wholly, with whatever `note` throws.
 * @throws BACKUP_INVALID unless it has what no restore can do without
 */
export async function surveyManifest(
  repository: Repository,
  backup: StoredBackup,
  signal: AbortSignal,
  note: (entry: ManifestEntry) => void,
): Promise<readonly ManifestDirectory[]> {
  const directories: ManifestDirectory[] = [];
  const wanted = new Map<string, string | undefined>([
    [CONTROL_FILE, undefined],
    // Without its label a backup starts from the wrong checkpoint and is silently corrupt.
    ['backup_label', createHash('sha256').update(backup.backupLabel).digest('hex')],
  ]);
  for await (const entry of readManifest(repository, backup, signal)) {
    note(entry);
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
  return directories;
}

/** Writes the files of one batch, which are durable when it resolves. */
export async function restoreBatch(
  from: BackupToRead,
  batch: Batch,
  places: RestorePlaces,
  tools: Pick<WriteTools, 'pool' | 'clock' | 'signal'>,
): Promise<{ readonly files: number; readonly bytes: number }> {
  const { start } = from.backup;
  const key = packKey(start.cluster, start.id, batch.pack);
  const files = batch.files.map(({ path, size, mode, mtime, sha256, skip, frames, before }): FileToRestore => ({
    ...{ path, size, mode, mtime, sha256, skip, frames, before },
    target: targetPath(places, path),
  }));
  const { pool, signal } = tools;
  return await readAgain(from, tools, async (repository, again) => {
    const object = { driver: repository.driver, key, offset: batch.offset, length: batch.storedBytes, signal };
    const what = `${key} of repository ${repository.name}`;
    return await runOnObject(pool, restoreFilesTask, object, (bytes) => ({
      ...{ bytes, files, object: what, again },
      owner: places.owner,
    }));
  });
}
