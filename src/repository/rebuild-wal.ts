import { createHash } from 'node:crypto';
import { WaldenError } from '../errors.ts';
import type { ClusterIdentity, WalFileRecord } from '../../catalog/catalog.ts';
import type { ObjectInfo } from '../../storage-drivers/driver.ts';
import { segmentNumberOfName } from '../postgres/wal-name.ts';
import { StreamDecompressor } from './codec.ts';
import { inParallel } from '../platform/in-parallel.ts';
import { walKey, walPrefix } from './keys.ts';
import { readSmallObject } from './object-bytes.ts';
import { type ArchiveRebuild, assertGoingOn, noteDamaged } from './rebuild-archive.ts';
import { readWalObjectHeader, type WalObjectHeader, walFileRecord } from './wal-object.ts';

/** A history file has one line per switch of timelines; this is room for some ten thousand. */
const MAX_HISTORY_BYTES = 1024 * 1024;

/** Records every sound WAL file of one archive. */
export async function rebuildWal(archive: ArchiveRebuild): Promise<void> {
  const { repository, cluster, catalog, signal } = archive;
  const identity = await catalog.clusterIdentity(cluster);
  const { driver } = repository;
  await inParallel(driver.list(walPrefix(cluster), { signal }), driver.features.maxConcurrency, async (object) => {
    assertGoingOn(signal);
    let file: WalFileRecord;
    try {
      file = await readStoredWalFile(archive, object, identity);
    } catch (error) {
      noteDamaged(archive, error);
      return;
    }
    await catalog.recordWalFile(file);
  });
}

/** What the catalog says of a stored WAL file, by its head. @throws FORMAT_INVALID, CHECKSUM_MISMATCH, and as the driver */
export async function readStoredWalFile(
  { repository, cluster, signal }: Pick<ArchiveRebuild, 'repository' | 'cluster' | 'signal'>,
  { key, size }: ObjectInfo,
  identity: ClusterIdentity | undefined,
): Promise<WalFileRecord> {
  const header = await readWalObjectHeader(repository.driver, key, signal);
  const { file } = header;
  if (walKey(cluster, file) !== key) throw new WaldenError('FORMAT_INVALID', `${key} holds ${file.name} by its header`);
  if (identity !== undefined && header.identity.systemIdentifier !== identity.systemIdentifier) {
    throw new WaldenError('FORMAT_INVALID', `${key} is of another cluster: system ${header.identity.systemIdentifier}`);
  }
  const segment =
    file.segment === undefined ? undefined : segmentNumberOfName(file.segment, header.identity.segmentBytes);
  const history = file.kind === 'history' ? await readHistory(repository, key, header, signal) : undefined;
  return walFileRecord(header, { repository: repository.name, cluster, key, storedBytes: size, segment, history });
}

async function readHistory(
  { driver }: ArchiveRebuild['repository'],
  key: ObjectInfo['key'],
  { plainBytes, sha256 }: WalObjectHeader,
  signal: AbortSignal,
): Promise<string> {
  const stored = await readSmallObject(driver, key, MAX_HISTORY_BYTES, signal);
  const decompressor = new StreamDecompressor(key, Math.min(plainBytes, MAX_HISTORY_BYTES));
  const plain = Buffer.concat(Array.from(decompressor.feed(stored), (piece) => Uint8Array.from(piece)));
  decompressor.finish();
  const found = createHash('sha256').update(plain).digest('hex');
  if (plain.length !== plainBytes || found !== sha256) {
    throw new WaldenError('CHECKSUM_MISMATCH', `the content of ${key} is not what its header says`);
  }
  return plain.toString('utf8');
}
