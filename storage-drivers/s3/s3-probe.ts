import { createHash } from 'node:crypto';
import { isWaldenError, toWaldenError } from '../../src/errors.ts';
import type { KeyPrefix } from '../key-prefix.ts';
import type { S3Requests } from './s3-requests.ts';

/** Below the repository's prefix; no part of any listing. */
export const PROBE = '.walden-probe';

const TEXT = Buffer.from('Walden learns from this object whether the store refuses to replace it. It stays here.\n');

/** What stores answer to a condition that they do not know: `NotImplemented`, or a header that they call wrong. */
const UNKNOWN_CONDITION: readonly unknown[] = [400, 501];

/**
 * Whether the store keeps `If-None-Match: *`, so that of several writers one wins. Some refuse the header and some ignore
 * it silently, so it is tried out, on an object that stays: afterwards one request is enough, nothing has to be removed,
 * and no two services can take it away from each other.
 */
export async function createsOnly(requests: S3Requests, prefix: KeyPrefix, signal: AbortSignal): Promise<boolean> {
  const put = async (onlyNew: boolean): Promise<void> => {
    const digests = { sha256: createHash('sha256').update(TEXT).digest('hex') };
    const piece = { length: TEXT.length, digests, bytes: () => TEXT };
    await requests.put(`${prefix.text}${PROBE}`, piece, {
      attempted: `store ${PROBE}`,
      signal,
      onlyNew,
      retention: undefined,
    });
  };
  try {
    await put(true);
    await put(true);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) return true;
    if (!UNKNOWN_CONDITION.includes(toWaldenError(error).details['status'])) throw error;
    // Whether it was the condition that was refused, or everything.
    await put(false);
  }
  return false;
}
