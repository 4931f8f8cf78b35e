import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { isWaldenError, localIoError, WaldenError } from '../errors.ts';
import { StreamDecompressor } from '../repository/codec.ts';
import { packKey } from '../repository/keys.ts';
import type { ManifestFile } from '../repository/manifest.ts';
import { readManifest } from '../repository/manifest-reader.ts';
import { byPreference, type Repository } from '../repository/repository.ts';
import type { BackupDeps } from './backup-deps.ts';
import type { ParentBackup } from './choose-parent.ts';

const MANIFEST_PATH = 'backup_manifest';

/**
 * Brings PostgreSQL's `backup_manifest` of a stored backup back into a file, from the first repository that can give it, and
 * checks it against its hash. @throws BACKUP_INVALID when the backup has none, CHECKSUM_MISMATCH, LOCAL_IO, STORAGE_*
 */
export async function stageParentManifest(
  { repositories }: Pick<BackupDeps, 'repositories'>,
  parent: ParentBackup,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const failures: WaldenError[] = [];
  for (const repository of byPreference(repositories)) {
    try {
      await bring(repository, parent, await findManifest(repository, parent, signal), path, signal);
      return;
    } catch (error) {
      // What concerns this host would fail again.
      if (signal.aborted || !isWaldenError(error) || isWaldenError(error, 'LOCAL_IO', 'STORAGE_FULL')) throw error;
      failures.push(error);
    }
  }
  throw failures[0] ?? new WaldenError('INTERNAL', 'a backup without a repository');
}

async function findManifest(repository: Repository, parent: ParentBackup, signal: AbortSignal): Promise<ManifestFile> {
  let found: ManifestFile | undefined;
  for await (const entry of readManifest(repository, parent, signal)) {
    if (entry.type === 'file' && entry.path === MANIFEST_PATH) found = entry;
  }
  if (found !== undefined) return found;
  throw new WaldenError('BACKUP_INVALID', `backup ${parent.start.id} has no ${MANIFEST_PATH}`);
}

async function bring(
  { driver, name }: Repository,
  { start }: ParentBackup,
  { pack, offset, skip, size, sha256, frames }: ManifestFile,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const key = packKey(start.cluster, start.id, pack);
  const what = `${MANIFEST_PATH} in ${key} of repository ${name}`;
  const length = frames.reduce((sum, [stored]) => sum + stored, 0);
  const decompressor = new StreamDecompressor(what);
  const hash = createHash('sha256');
  let [before, left] = [skip, size];
  const file = await onDisk(path, () => open(path, 'w', 0o640));
  try {
    const stream = (await driver.get(key, { offset, length, signal })) as AsyncIterable<Buffer>;
    for await (const chunk of stream) {
      for (const piece of decompressor.feed(chunk)) {
        const passed = Math.min(before, piece.byteLength);
        const data = piece.subarray(passed).subarray(0, left);
        before -= passed;
        left -= data.byteLength;
        hash.update(data);
        await onDisk(path, () => file.writeFile(data));
      }
    }
    decompressor.finish();
  } finally {
    await file.close();
  }
  if (left === 0 && hash.digest('hex') === sha256) return;
  throw new WaldenError('CHECKSUM_MISMATCH', `${what} is not what was backed up: its hash differs`);
}

async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw localIoError(error, `unable to write the staged file ${path}`);
  }
}
