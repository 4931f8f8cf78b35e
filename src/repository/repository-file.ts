import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
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

/** Undefined where nothing was ever stored. @throws CONFIG_INVALID when it is
 * encrypted and not opened so, or the other way round; as decodeRepositoryFile, and the codes of a store out of reach. */
export async function readRepositoryFile(repository: Repository): Promise<RepositoryFile | undefined> {
  const bytes = await readIfThere(repository.driver);
  if (bytes !== undefined) return decodeRepositoryFile(bytes, `${REPOSITORY_KEY} in repository ${repository.name}`);
  await refuseOtherKind(repository);
  return undefined;
}

/**
 * Half of it encrypted, a repository would be read by nobody as a whole: what was begun with keys goes on with keys, and what
 * was begun without them without.
 */
async function refuseOtherKind({ name, driver }: Repository): Promise<void> {
  const { beneath } = driver;
  const isThere = await (beneath === undefined
    ? holds(driver, objectKey(`${REPOSITORY_KEY}.age`))
    : holds(beneath, REPOSITORY_KEY));
  if (!isThere) return;
  const [is, told] = beneath === undefined ? ['is', 'has no key_directory'] : ['is not', 'has a key_directory'];
  throw new WaldenError('CONFIG_INVALID', `repository ${name} ${is} encrypted, but ${told} in the configuration`, {
    hint:
      beneath === undefined
        ? `name its keys: key_directory in [repository.${name}]`
        : 'begin a new repository with keys, and copy this one into it with: walden repository sync FROM TO',
  });
}

async function holds(driver: StorageDriver, key: ObjectKey): Promise<boolean> {
  try {
    await driver.stat(key);
    return true;
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return false;
    throw error;
  }
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
