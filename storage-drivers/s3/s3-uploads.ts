import { WaldenError } from '../../src/errors.ts';
import type { S3Requests } from './s3-requests.ts';

/** Uploads in parts of which a process that was killed never said whether they are to be completed or given up. */

const SWEEP_DEADLINE_MS = 30_000;
/** So old, an upload is not under way any more. */
export const ABANDONED_MS = 7 * 24 * 3600 * 1000;

/**
 * Gives up the uploads below `prefix` that were begun before `before`: nobody sees them, but many stores charge for them.
 * How many it gave up. A later start does what this one could not.
 */
export async function sweepUploads(requests: S3Requests, prefix: string, before: Date): Promise<number> {
  const signal = AbortSignal.timeout(SWEEP_DEADLINE_MS);
  let swept = 0;
  try {
    for (const { begun, ...upload } of await requests.uploads(prefix, {
      attempted: 'list unfinished uploads',
      signal,
    })) {
      if (begun >= before) continue;
      await requests.abortUpload(upload, { attempted: `give up an old upload of ${upload.name}`, signal });
      swept += 1;
    }
  } catch (error) {
    // Not worth a failed start: these permissions are often not given, and a rule of the bucket can do the same.
    if (!(error instanceof WaldenError)) throw error;
  }
  return swept;
}
