import { type Static, Type, Value } from '../typebox.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { ClusterIdentity, ClusterName } from '../../catalog/catalog.ts';
import { clusterKey } from './keys.ts';
import { IDENTITY_MEMBERS, identityFromJson } from './identity-json.ts';
import { bodyOfBytes, readSmallObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/** `cluster.json`: which cluster a folder of the repository belongs to. Created at first use, never replaced. */

const FORMAT = 1;
const MAX_BYTES = 1024 * 1024;

const ClusterJson = Type.Object({
  format: Type.Literal(FORMAT),
  name: Type.String(),
  history: Type.Array(Type.Object(IDENTITY_MEMBERS), { minItems: 1 }),
});

export interface ClusterFile {
  readonly name: ClusterName;
  /** Oldest first; the last one is the cluster as it is now. */
  readonly history: readonly [ClusterIdentity, ...ClusterIdentity[]];
}

export function encodeClusterFile({ name, history }: ClusterFile): Buffer {
  return sealJson({
    format: FORMAT,
    name,
    history: history.map((identity) => ({
      systemIdentifier: identity.systemIdentifier,
      majorVersion: identity.majorVersion,
      segmentBytes: identity.segmentBytes,
    })),
  } satisfies Static<typeof ClusterJson>);
}

/** @throws FORMAT_INVALID (also for another cluster's file), FORMAT_TOO_NEW, CHECKSUM_MISMATCH */
export function decodeClusterFile(bytes: Uint8Array, cluster: ClusterName, what: string): ClusterFile {
  const json = openSealedJson(bytes, what);
  if (typeof json['format'] === 'number' && json['format'] > FORMAT) {
    throw new WaldenError('FORMAT_TOO_NEW', `${what} has format ${json['format']}; this version knows ${FORMAT}`);
  }
  if (!Value.Check(ClusterJson, json)) throw new WaldenError('FORMAT_INVALID', `${what} lacks fields of a cluster`);
  if (json.name !== cluster) throw new WaldenError('FORMAT_INVALID', `${what} is of the cluster "${json.name}"`);
  const [first, ...rest] = json.history.map(identityFromJson);
  if (first === undefined) throw new WaldenError('FORMAT_INVALID', `${what} has no history`);
  return { name: cluster, history: [first, ...rest] };
}

/** Undefined when the repository knows no such cluster. */
export async function readClusterFile(repository: Repository, cluster: ClusterName): Promise<ClusterFile | undefined> {
  const key = clusterKey(cluster);
  try {
    const bytes = await readSmallObject(repository.driver, key, MAX_BYTES);
    return decodeClusterFile(bytes, cluster, `${key} in repository ${repository.name}`);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return undefined;
    throw error;
  }
}

/**
 * Records the cluster's identity at first use; later checks that it is the same. Idempotent.
 * @throws SERVER_MISMATCH when the folder belongs to another cluster.
 */
export async function ensureClusterFile(
  repository: Repository,
  cluster: ClusterName,
  identity: ClusterIdentity,
): Promise<void> {
  const known = (await readClusterFile(repository, cluster)) ?? (await createFile(repository, cluster, identity));
  const current = known.history.at(-1) ?? known.history[0];
  if (
    current.systemIdentifier !== identity.systemIdentifier ||
    current.majorVersion !== identity.majorVersion ||
    current.segmentBytes !== identity.segmentBytes
  ) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `repository ${repository.name} holds ${describe(current)} as cluster ${cluster}, and this is ${describe(identity)}`,
    );
  }
}

async function createFile(
  repository: Repository,
  cluster: ClusterName,
  identity: ClusterIdentity,
): Promise<ClusterFile> {
  const created: ClusterFile = { name: cluster, history: [identity] };
  try {
    await repository.driver.put(clusterKey(cluster), bodyOfBytes(encodeClusterFile(created)), { ifExists: 'fail' });
    return created;
  } catch (error) {
    // Another service was first: what it wrote decides.
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    return (await readClusterFile(repository, cluster)) ?? created;
  }
}

function describe(identity: ClusterIdentity): string {
  return `system ${identity.systemIdentifier}, version ${identity.majorVersion}, segments of ${identity.segmentBytes} bytes`;
}

/** Byte for byte, with all of its history; checked where there is one already. @throws SERVER_MISMATCH */
export async function copyClusterFile(
  from: Repository,
  to: Repository,
  cluster: ClusterName,
  identity: ClusterIdentity,
): Promise<void> {
  const key = clusterKey(cluster);
  if ((await readClusterFile(to, cluster)) === undefined) {
    const bytes = await readSmallObject(from.driver, key, MAX_BYTES);
    await to.driver.put(key, bodyOfBytes(bytes), { ifExists: 'fail' }).catch((error: unknown) => {
      // Another service was first: what it wrote is looked at next.
      if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    });
  }
  await ensureClusterFile(to, cluster, identity);
}
