import { type Static, Type, Value } from '../typebox.ts';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { ClusterName, ExpiredArchive } from '../../catalog/catalog.ts';
import { formatMicros, type Micros } from '../postgres/timestamp.ts';
import {
  parseWalName,
  type SegmentBytes,
  segmentName,
  segmentNumberOfName,
  type WalFileName,
} from '../postgres/wal-name.ts';
import { expiredPrefix } from './keys.ts';
import { momentKeys, putNewest } from './moment-names.ts';
import { backupId } from './names.ts';
import { readSmallObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/** `expired/<moment>.json`: what retention has removed, or is about to. The newest one says all of it. */

const FORMAT = 1;
/** Runs of segments and ids by the hundred thousand. */
const MAX_BYTES = 64 * 1024 * 1024;
const ExpiredJson = Type.Object({
  format: Type.Literal(FORMAT),
  cluster: Type.String(),
  at: Type.String(),
  backups: Type.Array(Type.String()),
  wal: Type.Array(Type.Object({ first: Type.String(), last: Type.String() })),
});

/** Stores it, and removes those that it takes the place of, where that may be. @throws as the driver */
export async function putExpired(
  { driver }: Repository,
  cluster: ClusterName,
  expired: ExpiredArchive,
  { now, segmentBytes }: { readonly now: Micros; readonly segmentBytes: SegmentBytes },
): Promise<void> {
  const prefix = expiredPrefix(cluster);
  const before = await momentKeys(driver, prefix);
  await putNewest(driver, prefix, now, (at) => encodeExpired(cluster, expired, at, segmentBytes));
  for (const key of before) {
    await driver.remove(key).catch((error: unknown) => {
      // It says nothing any more.
      if (!isWaldenError(error, 'STORAGE_LOCKED', 'STORAGE_DENIED')) throw error;
    });
  }
}

export function encodeExpired(
  cluster: ClusterName,
  { backups, wal }: ExpiredArchive,
  at: Micros,
  segmentBytes: SegmentBytes,
): Buffer {
  return sealJson({
    format: FORMAT,
    ...{ cluster, at: formatMicros(at), backups: [...backups] },
    wal: wal.map(({ timeline, first, last }) => ({
      first: segmentName(timeline, first, segmentBytes),
      last: segmentName(timeline, last, segmentBytes),
    })),
  } satisfies Static<typeof ExpiredJson>);
}

/**
 * Nothing where there is none. @throws FORMAT_INVALID, FORMAT_TOO_NEW, CHECKSUM_MISMATCH, and the codes of a store out of reach
 */
export async function readExpired(
  { driver }: Repository,
  cluster: ClusterName,
  segmentBytes: SegmentBytes,
  signal?: AbortSignal,
): Promise<ExpiredArchive> {
  const key = (await momentKeys(driver, expiredPrefix(cluster), signal)).at(-1);
  if (key === undefined) return { backups: [], wal: [] };
  const json = openSealedJson(await readSmallObject(driver, key, MAX_BYTES, signal), key);
  if (typeof json['format'] === 'number' && json['format'] > FORMAT) {
    throw new WaldenError('FORMAT_TOO_NEW', `${key} has format ${json['format']}; this version knows ${FORMAT}`);
  }
  if (!Value.Check(ExpiredJson, json) || json.cluster !== cluster) {
    throw new WaldenError('FORMAT_INVALID', `${key} does not say what retention removed of cluster ${cluster}`);
  }
  const number = (name: string): bigint => segmentNumberOfName(name as WalFileName, segmentBytes);
  return {
    backups: json.backups.map(backupId),
    wal: json.wal.map(({ first, last }) => {
      const [from, to] = [parseWalName(first), parseWalName(last)];
      if (
        from.kind === 'segment' &&
        to.kind === 'segment' &&
        from.timeline === to.timeline &&
        number(first) <= number(last)
      ) {
        return { timeline: from.timeline, first: number(first), last: number(last) };
      }
      throw new WaldenError('FORMAT_INVALID', `${key} names ${first} to ${last}, which is no run of segments`);
    }),
  };
}
