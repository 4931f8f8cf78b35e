import { isWaldenError, WaldenError } from '../errors.ts';
import { formatMicros, type Micros, micros } from '../postgres/timestamp.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { bodyOfBytes } from './object-bytes.ts';

/**
 * Objects of which the newest one counts and none is ever replaced: each is named by its moment, so that a repository to
 * which things can only be added will do.
 */

/** More at the same microsecond are not to be expected. */
const ATTEMPTS = 10;

/** `20261122T021500123456Z`: sorts by time. */
export function momentName(moment: Micros): string {
  return formatMicros(moment).replace(/[-:.]/g, '');
}

/** Keys like `<prefix><moment>.json`, oldest first. Others are passed over. */
export async function momentKeys(
  driver: StorageDriver,
  prefix: string,
  signal?: AbortSignal,
): Promise<readonly ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for await (const { key } of driver.list(prefix, { signal })) if (isMomentKey(key)) keys.push(key);
  return keys;
}

export function isMomentKey(key: ObjectKey): boolean {
  return /\/\d{8}T\d{12}Z\.json$/.test(key);
}

/**
 * Stores one that comes behind all others below the prefix, whatever the clock says.
 * @param bytesOf the object, for its moment
 * @throws as the driver's `put`
 */
export async function putNewest(
  driver: StorageDriver,
  prefix: string,
  now: Micros,
  bytesOf: (moment: Micros) => Buffer,
): Promise<void> {
  const newest = (await momentKeys(driver, prefix)).at(-1);
  let moment = now;
  if (newest !== undefined && `${prefix}${momentName(now)}.json` <= newest) moment = micros(momentOf(newest) + 1);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const key = `${prefix}${momentName(moment)}.json` as ObjectKey;
    try {
      await driver.put(key, bodyOfBytes(bytesOf(moment)), { ifExists: 'fail' });
      return;
    } catch (error) {
      // Another service was first, or an attempt whose answer was lost: the same once more does no harm.
      if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
      moment = micros(moment + 1);
    }
  }
  throw new WaldenError('STORAGE_UNAVAILABLE', `others store below ${prefix} at the same time, for too long`);
}

/** Of a key that `isMomentKey`. */
export function momentOf(key: ObjectKey): Micros {
  const [, year, month, day, hour, minute, second, rest] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{6})Z\.json$/.exec(key) ?? [];
  const millis = Date.parse(`${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`);
  // The pattern lets a 13th month pass: such a key is nobody's.
  return micros(Number.isNaN(millis) ? 0 : millis * 1000 + Number(rest));
}
