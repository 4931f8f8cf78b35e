import { S3ServiceException } from '@aws-sdk/client-s3';
import { type ErrorCode, systemErrorCode, WaldenError } from '../../src/errors.ts';
import { codeOfStatus } from '../http-status.ts';
import { ProxyRefusal } from '../proxy-tunnel.ts';

/** What was asked of a store. */
export interface S3Attempt {
  /** As S3 names it: `PutObject`. */
  readonly operation: string;
  /** For people: `store main/wal/…`. */
  readonly attempted: string;
  /** For people: bucket and endpoint. */
  readonly store: string;
  readonly signal?: AbortSignal | undefined;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly hint?: string;
}

const KEYS: Meaning = {
  code: 'STORAGE_DENIED',
  hint: 'correct the access key and its secret, or take new ones if these were withdrawn',
};
const TOKEN: Meaning = { code: 'STORAGE_DENIED', hint: 'the session token has run out: give the service a new one' };
const FULL: Meaning = {
  code: 'STORAGE_FULL',
  hint: 'raise the quota or free space in the store; Walden goes on by itself',
};
const REGION: Meaning = { code: 'STORAGE_DENIED', hint: 'correct region: the bucket is in another one' };
const REFUSED: Meaning = {
  code: 'STORAGE_DENIED',
  hint: 'this store does not take a setting: look at storage_class, tags, server_side_encryption, kms_key and checksums',
};
// The SDK signs what follows with the store's own time, so that trying again helps.
const CLOCK: Meaning = { code: 'STORAGE_UNAVAILABLE', hint: 'set the clock of this host: it differs from the store’s' };

/** What stores say, by the code in their answer. What is not here is judged by its HTTP status. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  NoSuchKey: { code: 'STORAGE_OBJECT_MISSING' },
  NoSuchVersion: { code: 'STORAGE_OBJECT_MISSING', hint: 'somebody removed this version for good since it was listed' },
  NoSuchBucket: { code: 'STORAGE_UNAVAILABLE', hint: 'make the bucket, or correct bucket, endpoint or region' },
  InvalidBucketName: { code: 'STORAGE_DENIED', hint: 'correct bucket' },
  KeyTooLongError: { code: 'STORAGE_DENIED', hint: 'make prefix shorter' },
  NoSuchUpload: {
    code: 'STORAGE_UNAVAILABLE',
    hint: 'somebody gave the upload up while it ran: let rules of the bucket wait for a week',
  },
  PreconditionFailed: { code: 'STORAGE_OBJECT_EXISTS' },
  InvalidAccessKeyId: KEYS,
  SignatureDoesNotMatch: KEYS,
  InvalidToken: TOKEN,
  ExpiredToken: TOKEN,
  TokenRefreshRequired: TOKEN,
  RequestTimeTooSkewed: CLOCK,
  RequestExpired: CLOCK,
  QuotaExceeded: FULL,
  StorageFull: FULL,
  XMinioStorageFull: FULL,
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  NotImplemented: REFUSED,
  InvalidStorageClass: REFUSED,
  InvalidTag: REFUSED,
  InvalidArgument: REFUSED,
  InvalidRequest: REFUSED,
  InvalidObjectState: {
    code: 'STORAGE_DENIED',
    hint: 'the object is in an archive tier: restore it there first, and keep backups out of such tiers',
  },
};

/** What one has to be allowed to do, for each operation. */
const PERMISSIONS: Readonly<Record<string, string>> = {
  PutObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  // Without the second, a store does not say of an object that it is not there.
  GetObject: 's3:GetObject on the objects and s3:ListBucket on the bucket',
  HeadObject: 's3:GetObject on the objects and s3:ListBucket on the bucket',
  ListObjectsV2: 's3:ListBucket',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  DeleteObject: 's3:DeleteObject',
  GetObjectLockConfiguration: 's3:GetBucketObjectLockConfiguration',
  PutObjectRetention: 's3:PutObjectRetention',
  GetBucketVersioning: 's3:GetBucketVersioning',
  ListObjectVersions: 's3:ListBucketVersions',
};

/** From an error of the SDK, the store or the network to the contract's codes. `details` say the status and the reason. */
export function s3Error(error: unknown, { operation, attempted, store, signal }: S3Attempt): WaldenError {
  if (error instanceof WaldenError) return error;
  if (signal?.aborted === true) return new WaldenError('INTERRUPTED', `gave up to ${attempted}`, { cause: error });
  const status = statusOf(error);
  const reason = reasonOf(error, status);
  const { code, hint } = meaningOf(error, reason, status, operation);
  return new WaldenError(code, `unable to ${attempted} in ${store} (${reason})`, {
    ...(hint === undefined ? {} : { hint }),
    details: { status, reason },
    cause: error,
  });
}

function meaningOf(error: unknown, reason: string, status: number | undefined, operation: string): Meaning {
  const known = MEANINGS[reason];
  if (known !== undefined) return known;
  if (isAboutTheClock(error)) return CLOCK;
  if (reason.startsWith('KMS.')) return REFUSED;
  if (isAboutCertificates(reason)) {
    return { code: 'STORAGE_UNAVAILABLE', hint: 'name the authority of the store’s certificate in ca_file' };
  }
  if (isAboutCredentials(error)) {
    return {
      code: 'STORAGE_DENIED',
      hint: 'name a credentials_file, or give the service an identity that AWS’s SDK finds',
    };
  }
  if (error instanceof ProxyRefusal) {
    return {
      code: status === 407 ? 'STORAGE_DENIED' : 'STORAGE_UNAVAILABLE',
      hint: 'the proxy refuses: correct proxy',
    };
  }
  const code = codeOfStatus(status);
  if (code === 'STORAGE_DENIED') {
    const permission = PERMISSIONS[operation] ?? `s3:${operation}`;
    // An answer to HEAD says nothing about why.
    return { code, hint: `${reason === 'AccessDenied' ? '' : 'check the credentials, and '}allow ${permission}` };
  }
  // Only the store's own word proves that an object is not there: this may be a proxy, or the wrong server.
  if (code === 'STORAGE_OBJECT_MISSING') return { code: 'STORAGE_UNAVAILABLE', hint: 'check endpoint and bucket' };
  return { code };
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof ProxyRefusal) return error.status;
  if (error instanceof S3ServiceException) return error.$metadata.httpStatusCode;
  // An answer that is no answer of S3 at all, such as a proxy's page.
  if (!(error instanceof Error) || !('$response' in error)) return undefined;
  const { $response: response } = error;
  if (typeof response !== 'object' || response === null || !('statusCode' in response)) return undefined;
  return typeof response.statusCode === 'number' ? response.statusCode : undefined;
}

/** The store's own code, the system's, or what is known instead. Texts of the SDK stay out: they may quote a request. */
function reasonOf(error: unknown, status: number | undefined): string {
  if (error instanceof S3ServiceException && !['Unknown', 'UnknownError', 'NotFound'].includes(error.name)) {
    return error.name;
  }
  if (status !== undefined) return `HTTP status ${status}`;
  return systemErrorCode(error) ?? (error instanceof Error ? error.name : String(error));
}

/** The SDK has seen by the answer's date that its signature could not be right, and signs with the store's time from now on. */
function isAboutTheClock(error: unknown): boolean {
  return error instanceof S3ServiceException && 'clockSkewCorrected' in error.$metadata;
}

function isAboutCertificates(reason: string): boolean {
  return /^(ERR_TLS_CERT|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_(GET|VERIFY))/.test(reason);
}

function isAboutCredentials(error: unknown): boolean {
  return error instanceof Error && ['CredentialsProviderError', 'TokenProviderError'].includes(error.name);
}
