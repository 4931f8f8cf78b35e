import {
  GetObjectLockConfigurationCommand,
  ObjectLockMode,
  ObjectLockRetentionMode,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import type { ObjectLock } from '../../src/config/option.ts';
import { toWaldenError, WaldenError } from '../../src/errors.ts';
import type { S3Bucket, S3Call } from './s3-bucket.ts';

/** Object lock: what is stored cannot be removed before a moment that is set when it is stored, by nobody. */

const DAY_MS = 24 * 3600 * 1000;

/** Of one object. */
export interface S3Retention {
  readonly mode: ObjectLock['mode'];
  readonly until: Date;
}

/** What keeps one object from being removed, by the store's own word. */
export interface S3Locked {
  readonly until: Date | undefined;
  readonly legalHold: boolean;
}

export function retentionFrom({ mode, days }: ObjectLock, now: Date): S3Retention {
  return { mode, until: new Date(now.getTime() + days * DAY_MS) };
}

/** In the SDK's words, for what makes an object. */
export function retentionHeaders(retention: S3Retention | undefined) {
  if (retention === undefined) return {};
  return { ObjectLockMode: MODES[retention.mode], ObjectLockRetainUntilDate: retention.until };
}

const MODES = { compliance: ObjectLockMode.COMPLIANCE, governance: ObjectLockMode.GOVERNANCE } as const;
const RETENTION_MODES = {
  compliance: ObjectLockRetentionMode.COMPLIANCE,
  governance: ObjectLockRetentionMode.GOVERNANCE,
} as const;

/** @throws STORAGE_DENIED where the bucket has none: what is stored would not be locked */
export async function assertLockable(bucket: S3Bucket, signal: AbortSignal): Promise<void> {
  const attempted = 'look whether the bucket has object lock';
  const command = new GetObjectLockConfigurationCommand({ Bucket: bucket.name });
  const answered = bucket.ask('GetObjectLockConfiguration', { attempted, signal }, (client, http) =>
    client.send(command, http),
  );
  const enabled = await answered.then(
    ({ ObjectLockConfiguration }) => ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled',
    (error: unknown) => {
      // A store without object lock says that it does not know the question.
      const { status, reason } = toWaldenError(error).details;
      if (reason !== 'ObjectLockConfigurationNotFoundError' && status !== 501 && status !== 405) throw error;
      return false;
    },
  );
  if (enabled) return;
  throw new WaldenError('STORAGE_DENIED', `${bucket.store} has no object lock, which object_lock asks for`, {
    hint: 'enable object lock for the bucket (most stores can do so only when it is made), or leave object_lock out',
  });
}

/** For what was stored without its lock: some stores forget it of objects that go up in parts. */
export async function lockVersion(
  bucket: S3Bucket,
  { name, versionId }: { readonly name: string; readonly versionId: string | undefined },
  { mode, until }: S3Retention,
  call: S3Call,
): Promise<void> {
  const command = new PutObjectRetentionCommand({
    ...bucket.at(name),
    ...(versionId === undefined ? {} : { VersionId: versionId }),
    Retention: { Mode: RETENTION_MODES[mode], RetainUntilDate: until },
  });
  await bucket.ask('PutObjectRetention', call, (client, http) => client.send(command, http));
}

/** @throws STORAGE_LOCKED while something keeps the object from being removed */
export function assertUnlocked({ until, legalHold }: S3Locked, now: Date, attempted: string): void {
  if (legalHold) {
    throw new WaldenError('STORAGE_LOCKED', `unable to ${attempted}: a legal hold is on it`, {
      hint: 'it stays until somebody ends the hold',
      details: { until: null },
    });
  }
  if (until === undefined || until <= now) return;
  const moment = until.toISOString();
  throw new WaldenError('STORAGE_LOCKED', `unable to ${attempted}: it is locked until ${moment}`, {
    details: { until: moment },
  });
}
