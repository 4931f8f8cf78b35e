import { createHash } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import { StreamDecompressor } from './codec.ts';
import type { BackupStart } from '../../catalog/catalog.ts';
import type { StoredBackup } from './backup-record.ts';
import { manifestKey } from './keys.ts';
import { type ManifestEntry, ManifestParser } from './manifest.ts';
import type { Repository } from './repository.ts';

/**
 * The entries of a backup, as a stream, each checked in itself. The stream ends without an error only when the stored
 * bytes had the hash that `backup.json` records: act on an entry early only where a later error can undo it.
 * @throws FORMAT_INVALID, FORMAT_TOO_NEW, CHECKSUM_MISMATCH, and what the driver's `get` throws.
 */
export async function* readManifest(
  repository: Repository,
  backup: Pick<StoredBackup, 'manifest'> & { readonly start: Pick<BackupStart, 'cluster' | 'id'> },
  signal?: AbortSignal,
): AsyncGenerator<ManifestEntry, void, undefined> {
  const { cluster, id } = backup.start;
  const key = manifestKey(cluster, id);
  const what = `${key} in repository ${repository.name}`;
  const decompressor = new StreamDecompressor(what);
  const parser = new ManifestParser(id, what);
  const hash = createHash('sha256');
  const stream = (await repository.driver.get(key, { signal })) as AsyncIterable<Buffer>;
  for await (const chunk of stream) {
    hash.update(chunk);
    for (const piece of decompressor.feed(chunk)) yield* parser.feed(piece);
  }
  if (hash.digest('hex') !== backup.manifest.sha256) {
    throw new WaldenError('CHECKSUM_MISMATCH', `${what} is not the manifest that backup.json names`);
  }
  decompressor.finish();
  parser.finish();
}
