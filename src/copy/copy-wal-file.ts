import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { WalFileRecord } from '../../catalog/catalog.ts';
import { isOfTheSystem, localIoError, WaldenError } from '../errors.ts';
import { syncFile } from '../platform/files.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import { bodyOfStored, type StoredObject } from '../repository/object-bytes.ts';
import { placeToStage, type Repository } from '../repository/repository.ts';
import { runOnFile } from '../repository/run-on-object.ts';
import type { Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { putWalObject } from '../wal/put-wal-object.ts';
import { verifyTask } from '../wal/verify-task.ts';
import type { CopiedCluster, CopyControls, CopyDeps } from './copy-deps.ts';

/**
 * Copies one stored WAL file, byte for byte: fetched once, every byte of it checked, put create-only, recorded.
 * @param record what the catalog says of it in `from`
 * @returns the stored bytes that it takes
 * @throws STORAGE_OBJECT_MISSING, CHECKSUM_MISMATCH, FORMAT_INVALID: it cannot be had from `from`; ARCHIVE_DUPLICATE when
 * `to` holds other bytes under the name; LOCAL_IO, STORAGE_*
 */
export async function copyWalFile(
  deps: CopyDeps,
  place: CopiedCluster,
  way: { readonly from: Repository; readonly to: Repository },
  record: WalFileRecord,
  controls: CopyControls,
): Promise<number> {
  const { to } = way;
  const { signal } = controls;
  return await withVerifiedCopy(deps, place, way, record, signal, async (staged, stored) => {
    const wanted = { ...record, repository: to.name, storedBytes: stored.bytes };
    const body = bodyOfStored(staged, stored);
    const there = await putWalObject({ ...place, pool: deps.pool }, to, wanted, body, signal);
    await deps.catalog.recordWalFile(there);
    controls.onDone?.(stored.bytes, 'copied');
    return stored.bytes;
  });
}

/** Works with a staged, durable and verified copy of the object in `from`; removes it afterwards. */
export async function withVerifiedCopy<Result>(
  deps: Pick<CopyDeps, 'pool' | 'stagingDirectory'>,
  { identity }: CopiedCluster,
  { from, to }: { readonly from: Repository; readonly to: Repository },
  record: WalFileRecord,
  signal: AbortSignal,
  work: (staged: string, stored: StoredObject) => Promise<Result>,
): Promise<Result> {
  const directory = placeToStage([to]) ?? deps.stagingDirectory;
  const staged = join(directory, `copy.${record.name}.${randomUUID()}`);
  try {
    const stored = await download(from.driver, record, staged, signal);
    const { name, sha256 } = record;
    const { systemIdentifier } = identity;
    const found = await runOnFile(deps.pool, verifyTask, { path: staged, bytes: stored.bytes, signal }, (bytes) => ({
      ...{ bytes, name: parseWalName(name).name, systemIdentifier, target: undefined },
    }));
    if (found.sha256 !== sha256) {
      throw new WaldenError('CHECKSUM_MISMATCH', `${record.key} in repository ${from.name} is not what was archived`, {
        details: { expected: sha256, found: found.sha256 },
      });
    }
    return await work(staged, stored);
  } finally {
    await rm(staged, { force: true });
  }
}

async function download(
  driver: StorageDriver,
  { key, name }: WalFileRecord,
  staged: string,
  signal: AbortSignal,
): Promise<StoredObject> {
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      done(null, chunk);
    },
  });
  const stream = await driver.get(key, { signal });
  try {
    await pipeline(stream, counted, createWriteStream(staged, { flags: 'wx', mode: 0o640 }));
    await syncFile(staged);
  } catch (error) {
    throw isOfTheSystem(error) ? localIoError(error, `unable to stage ${name}`) : error;
  }
  return { bytes, sha256: hash.digest('hex') as Sha256Hex };
}
