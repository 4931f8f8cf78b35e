import { randomUUID } from 'node:crypto';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { GcsDriver } from '../../../storage-drivers/gcs/gcs-driver.ts';
import type { GcsOptions } from '../../../storage-drivers/gcs/gcs-options.ts';
import { driverWithDeadlines } from '../../../storage-drivers/with-deadline.ts';
import { driverWithResumption } from '../../../storage-drivers/with-resume.ts';
import { driverWithRetries } from '../../../storage-drivers/with-retry.ts';

export const KIB = 1024;
export const BUCKET = 'backups';

/** Bodies of more than 64 KiB go up in parts of 512 KiB. */
export const SMALL = { access: 'read-write', singlePutBytes: 64 * KIB, partBytes: 512 * KIB } as const;

/** Each with a repository of its own. */
export function gcsOptions(endpoint: string | undefined, more: Partial<GcsOptions> = {}): GcsOptions {
  return {
    bucket: BUCKET,
    prefix: `test/${randomUUID()}`,
    endpoint,
    project: undefined,
    credentialsFile: undefined,
    caFile: undefined,
    proxy: undefined,
    storageClass: undefined,
    kmsKey: undefined,
    tags: undefined,
    ...more,
  };
}

export async function openGcs(endpoint: string | undefined, more: Partial<GcsOptions> = {}): Promise<GcsDriver> {
  return await GcsDriver.open(gcsOptions(endpoint, more), SMALL);
}

/** Far beyond what any test needs. */
const DEADLINES = { answerMs: 60_000, putMs: 60_000 };

/** As the service uses it. */
export function wrapped(driver: StorageDriver, deadlines = DEADLINES, retries = 3): StorageDriver {
  const policy = { retries, firstWaitMs: 1, longestWaitMs: 1 };
  return driverWithResumption(driverWithRetries(driverWithDeadlines(driver, deadlines), policy));
}
