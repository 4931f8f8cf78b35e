import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { REPOSITORY_KEY } from './keys.ts';
import { bodyOfBytes, readSmallObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/** `walden.json`: the version of everything that a repository holds. Written at first use, never replaced. */

export const REPOSITORY_FORMAT = 1;
const MAX_BYTES = 64 * 1024;

const RepositoryJson = Type.Object({ format: Type.Integer({ minimum: 1 }) });
export type RepositoryFile = Readonly<Static<typeof RepositoryJson>>;

export function encodeRepositoryFile(): Buffer {
  return sealJson({ format: REPOSITORY_FORMAT } satisfies RepositoryFile);
}

/** @throws FORMAT_INVALID, CHECKSUM_MISMATCH, FORMAT_TOO_NEW */
export function decodeRepositoryFile(bytes: Uint8Array, what: string): RepositoryFile {
  const json = openSealedJson(bytes, what);
  if (!Value.Check(RepositoryJson, json)) throw new WaldenError('FORMAT_INVALID', `${what} names no format`);
  if (json.format > REPOSITORY_FORMAT) {
    throw new WaldenError(
      'FORMAT_TOO_NEW',
      `${what} has format ${json.format}; this version knows ${REPOSITORY_FORMAT}`,
    );
  }
  return json;
}

/** Undefined where nothing was ever stored. @throws as decodeRepositoryFile, and the codes of a store out of reach. */
export async function readRepositoryFile(repository: Repository): Promise<RepositoryFile | undefined> {
  const bytes = await readIfThere(repository.driver);
  return bytes === undefined
    ? undefined
    : decodeRepositoryFile(bytes, `${REPOSITORY_KEY} in repository ${repository.name}`);
}

/** Marks a repository as Walden's at first use; later checks that this version can use it. Idempotent. */
export async function ensureRepositoryFile(repository: Repository): Promise<void> {
  if ((await readRepositoryFile(repository)) !== undefined) return;
  try {
    await repository.driver.put(REPOSITORY_KEY, bodyOfBytes(encodeRepositoryFile()), { ifExists: 'fail' });
  } catch (error) {
    // Another service was first: what it wrote decides.
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    await readRepositoryFile(repository);
  }
}

async function readIfThere(driver: StorageDriver): Promise<Buffer | undefined> {
  try {
    return await readSmallObject(driver, REPOSITORY_KEY, MAX_BYTES);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return undefined;
    throw error;
  }
}
