import { type Static, Type, Value } from '../typebox.ts';
import { isWaldenError } from '../errors.ts';
import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import { backupClaimKey } from './keys.ts';
import { bodyOfBytes, readSmallObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/**
 * `claim.json`: the first object of a backup, and the last to be removed. It says which service takes the backup, so that
 * another one on the same repository neither uses the same id nor takes what is under way for what a crash left.
 */

/** No backup takes this long: what another service began before and did not end was left by a crash. */
export const ABANDONED_MICROS = 7 * 24 * 3600 * 1_000_000;

const FORMAT = 1;
const MAX_BYTES = 64 * 1024;
const ClaimJson = Type.Object({ format: Type.Integer({ minimum: 1 }), service: Type.String() });

/** Names one service: its state directory, rather than its process. */
export type ServiceInstance = string & { readonly __serviceInstance: unique symbol };

/** @throws STORAGE_OBJECT_EXISTS when the id is taken in this repository, and the codes of a store out of reach. */
export async function claimBackup(
  { driver }: Repository,
  cluster: ClusterName,
  id: BackupId,
  service: ServiceInstance,
): Promise<void> {
  const bytes = sealJson({ format: FORMAT, service } satisfies Static<typeof ClaimJson>);
  await driver.put(backupClaimKey(cluster, id), bodyOfBytes(bytes), { ifExists: 'fail' });
}

/** Whose the backup is; 'nobody' without a claim, 'unknown' when it cannot be read. @throws the codes of a store out of reach */
export async function claimantOf(
  { driver, name }: Repository,
  cluster: ClusterName,
  id: BackupId,
): Promise<ServiceInstance | 'nobody' | 'unknown'> {
  const key = backupClaimKey(cluster, id);
  try {
    const json = openSealedJson(await readSmallObject(driver, key, MAX_BYTES), `${key} in repository ${name}`);
    return Value.Check(ClaimJson, json) ? (json.service as ServiceInstance) : 'unknown';
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return 'nobody';
    if (isWaldenError(error, 'FORMAT_INVALID', 'CHECKSUM_MISMATCH')) return 'unknown';
    throw error;
  }
}
