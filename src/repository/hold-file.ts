import { type Static, Type, Value } from '../typebox.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { BackupId, ClusterName, HoldRecord } from '../../catalog/catalog.ts';
import { formatMicros, type Micros, parseMicros } from '../postgres/timestamp.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { holdPrefix, holdsPrefix } from './keys.ts';
import { momentKeys, momentOf, putNewest } from './moment-names.ts';
import { readSmallObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/**
 * `holds/<backup>/<moment>.json`: somebody wants a backup kept, or does not any more. The newest one of a backup counts.
 */

const FORMAT = 1;
const MAX_BYTES = 64 * 1024;
const HoldJson = Type.Object({
  format: Type.Literal(FORMAT),
  cluster: Type.String(),
  backup: Type.String(),
  action: Type.Union([Type.Literal('keep'), Type.Literal('release')]),
  at: Type.String(),
  until: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
});

export type HoldOrder =
  | { readonly action: 'keep'; readonly until: Micros | undefined; readonly reason: string | undefined }
  | { readonly action: 'release' };

/** @throws as the driver's `put` */
export async function putHold(
  { driver }: Repository,
  cluster: ClusterName,
  backup: BackupId,
  order: HoldOrder,
  now: Micros,
): Promise<void> {
  await putNewest(driver, holdPrefix(cluster, backup), now, (at) => encodeHold(cluster, backup, order, at));
}

export function encodeHold(cluster: ClusterName, backup: BackupId, order: HoldOrder, at: Micros): Buffer {
  const { until, reason } = order.action === 'keep' ? order : { until: undefined, reason: undefined };
  return sealJson({
    format: FORMAT,
    ...{ cluster, backup, action: order.action, at: formatMicros(at) },
    ...(until === undefined ? {} : { until: formatMicros(until) }),
    ...(reason === undefined ? {} : { reason }),
  } satisfies Static<typeof HoldJson>);
}

/**
 * What is held in one repository, also what is over. What cannot be read may be a hold, and counts as one.
 * @throws the codes of a store out of reach
 */
export async function readHolds(
  repository: Repository,
  cluster: ClusterName,
  signal?: AbortSignal,
): Promise<readonly HoldRecord[]> {
  const newest = new Map<BackupId, ObjectKey>();
  const prefix = holdsPrefix(cluster);
  for (const key of await momentKeys(repository.driver, prefix, signal)) {
    const [backup = ''] = key.slice(prefix.length).split('/');
    if (/^\d{8}T\d{6}[FI]$/.test(backup)) newest.set(backup as BackupId, key);
  }
  const holds: HoldRecord[] = [];
  for (const [backup, key] of newest) {
    const hold = await readHold(repository, { cluster, backup, key }, signal);
    if (hold !== undefined) holds.push(hold);
  }
  return holds;
}

/** Undefined for a release. */
async function readHold(
  { driver, name }: Repository,
  { cluster, backup, key }: { readonly cluster: ClusterName; readonly backup: BackupId; readonly key: ObjectKey },
  signal: AbortSignal | undefined,
): Promise<HoldRecord | undefined> {
  const place = { repository: name, cluster, backup, since: momentOf(key) };
  try {
    const json = openSealedJson(await readSmallObject(driver, key, MAX_BYTES, signal), key);
    if (!Value.Check(HoldJson, json) || json.cluster !== cluster || json.backup !== backup) {
      throw new WaldenError('FORMAT_INVALID', `${key} is not a hold of backup ${backup}`);
    }
    if (json.action === 'release') return undefined;
    const until = json.until === undefined ? undefined : parseMicros(json.until);
    return { ...place, until, reason: json.reason };
  } catch (error) {
    if (!isWaldenError(error, 'FORMAT_INVALID', 'CHECKSUM_MISMATCH', 'STORAGE_SIZE')) throw error;
    return { ...place, until: undefined, reason: `its newest hold cannot be read: ${error.message}` };
  }
}
