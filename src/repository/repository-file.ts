import { type Static, Type, Value } from '../typebox.ts';
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

/** What a repository is that was opened as the other kind. */
export type OtherKind = 'encrypted' | 'not encrypted';

/**
 * Undefined where nothing was ever stored. @throws what `refusal` makes of one that is encrypted and not opened so, or the
 * other way round, else CONFIG_INVALID; as decodeRepositoryFile, and the codes of a store out of reach.
 */
export async function readRepositoryFile(
  repository: Repository,
  refusal = (kind: OtherKind): WaldenError => notAsConfigured(repository, kind),
): Promise<RepositoryFile | undefined> {
  const bytes = await readIfThere(repository.driver);
  if (bytes !== undefined) return decodeRepositoryFile(bytes, `${REPOSITORY_KEY} in repository ${repository.name}`);
  const kind = await otherKind(repository.driver);
  if (kind !== undefined) throw refusal(kind);
  return undefined;
}

/** Whether it is one of the kind as which it was not opened. */
async function otherKind(driver: StorageDriver): Promise<OtherKind | undefined> {
  const { beneath } = driver;
  if (beneath !== undefined) return (await holds(beneath, REPOSITORY_KEY)) ? 'not encrypted' : undefined;
  return (await holds(driver, objectKey(`${REPOSITORY_KEY}.age`))) ? 'encrypted' : undefined;
}

/**
 * Half of it encrypted, a repository would be read by nobody as a whole: what was begun with keys goes on with keys, and what
 * was begun without them without.
 */
function notAsConfigured({ name }: Repository, kind: OtherKind): WaldenError {
  const told = kind === 'encrypted' ? 'has no key_directory' : 'has a key_directory';
  return new WaldenError('CONFIG_INVALID', `repository ${name} is ${kind}, but ${told} in the configuration`, {
    hint:
      kind === 'encrypted'
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
