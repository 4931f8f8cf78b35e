import { type ErrorCode, systemErrorCode, WaldenError } from '../../src/errors.ts';
import { codeOfStatus } from '../http-status.ts';

/** What was attempted, in the words that follow "unable to", and under which circumstances. */
export interface Attempt {
  readonly attempted: string;
  readonly signal: AbortSignal | undefined;
  /** Of this host: the store refuses signatures of another time. */
  readonly now: Date;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly hint?: string;
}

const IMMUTABLE: Meaning = {
  code: 'STORAGE_LOCKED',
  hint: 'an immutability policy or a legal hold locks it: it can be removed when that ends, and not before',
};
const NO_CONTAINER: Meaning = {
  code: 'STORAGE_UNAVAILABLE',
  hint: 'make the container, or correct container and account in the configuration',
};
const SAS_TOO_NARROW: Meaning = {
  code: 'STORAGE_DENIED',
  hint: 'use a SAS token for blobs of this container, from this host, with the permissions rcwdl (and t for tags)',
};
const LEASED: Meaning = { code: 'STORAGE_DENIED', hint: 'somebody holds a lease on the blob: break it' };

/** What the store's own codes mean where its HTTP status says too little. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  BlobNotFound: { code: 'STORAGE_OBJECT_MISSING' },
  BlobAlreadyExists: { code: 'STORAGE_OBJECT_EXISTS' },
  ConditionNotMet: { code: 'STORAGE_OBJECT_EXISTS' },
  InvalidRange: { code: 'STORAGE_SIZE' },
  ContainerNotFound: NO_CONTAINER,
  ContainerBeingDeleted: NO_CONTAINER,
  ContainerDisabled: NO_CONTAINER,
  AuthenticationFailed: {
    code: 'STORAGE_DENIED',
    hint: 'check the key or the SAS token: it may be of another account, replaced or expired',
  },
  InvalidAuthenticationInfo: {
    code: 'STORAGE_DENIED',
    hint: 'check the credentials: the token may be expired or of another tenant',
  },
  NoAuthenticationInformation: { code: 'STORAGE_DENIED', hint: 'give credentials: see docs/stores/azure.md' },
  AuthorizationPermissionMismatch: {
    code: 'STORAGE_DENIED',
    hint: 'give this identity the role Storage Blob Data Contributor on the container, or the SAS token the permissions rcwdl',
  },
  AuthorizationFailure: {
    code: 'STORAGE_DENIED',
    hint: "let this host's network through the account's firewall, and give the identity the role Storage Blob Data Contributor",
  },
  AuthorizationSourceIPMismatch: SAS_TOO_NARROW,
  AuthorizationProtocolMismatch: SAS_TOO_NARROW,
  AuthorizationServiceMismatch: SAS_TOO_NARROW,
  AuthorizationResourceTypeMismatch: SAS_TOO_NARROW,
  UnauthorizedBlobOverwrite: SAS_TOO_NARROW,
  KeyBasedAuthenticationNotPermitted: {
    code: 'STORAGE_DENIED',
    hint: 'the account takes no keys: use an identity with the role Storage Blob Data Contributor',
  },
  PublicAccessNotPermitted: { code: 'STORAGE_DENIED', hint: 'give credentials: see docs/stores/azure.md' },
  BlobImmutableDueToPolicy: IMMUTABLE,
  BlobImmutableDueToLegalHold: IMMUTABLE,
  BlobArchived: {
    code: 'STORAGE_DENIED',
    hint: 'the blob is in the archive tier: move it to another one, which takes hours, and try again',
  },
  LeaseIdMissing: LEASED,
  AccountIsDisabled: { code: 'STORAGE_DENIED', hint: 'the account is disabled: enable it' },
  AccountBeingCreated: { code: 'STORAGE_UNAVAILABLE', hint: 'the account is still being made: it takes a minute' },
};

/** Everything @azure/identity raises when it found no credentials or they were refused. */
const IDENTITY_ERRORS: ReadonlySet<string> = new Set([
  'AuthenticationError',
  'AuthenticationRequiredError',
  'AggregateAuthenticationError',
  'CredentialUnavailableError',
]);

/** The store refuses what was signed so much earlier or later by its own clock. */
const CLOCK_SKEW_MS = 15 * 60 * 1000;

/**
 * From an error of the SDK, of the network or of @azure/identity to the contract's codes. `details.answer` is the store's
 * own code. Nothing of the request gets in: its URL and headers may hold a signature.
 */
export function azureError(error: unknown, attempt: Attempt): WaldenError {
  if (error instanceof WaldenError) return error;
  const { attempted, signal } = attempt;
  if (signal?.aborted === true) {
    return new WaldenError('INTERRUPTED', `gave up to ${attempted}`, { cause: signal.reason });
  }
  const { status, answer, requestId, date } = factsOf(error);
  if (status !== undefined) {
    const { code, hint } = skewed(answer, date, attempt.now) ?? meaningOf(answer, status);
    return new WaldenError(code, `unable to ${attempted} (${answer ?? `HTTP ${status}`})`, {
      ...(hint === undefined ? {} : { hint }),
      details: { status, answer, requestId },
    });
  }
  if (error instanceof Error && IDENTITY_ERRORS.has(error.name)) {
    return new WaldenError('STORAGE_DENIED', `unable to ${attempted}: no token for this identity (${error.name})`, {
      hint: 'give credentials, or log in with: az login; see docs/stores/azure.md',
    });
  }
  const reason = answer ?? 'the connection was lost';
  return new WaldenError('STORAGE_UNAVAILABLE', `unable to ${attempted} (${reason})`, {
    ...(isCertificateError(reason) ? { hint: 'name the certificates of who signed for the store in ca_file' } : {}),
  });
}

interface Facts {
  readonly status: number | undefined;
  /** The store's own code, or the system's. */
  readonly answer: string | undefined;
  readonly requestId: string | undefined;
  /** Of the answer, by the store's clock. */
  readonly date: string | undefined;
}

function factsOf(error: unknown): Facts {
  const header = (name: string): string | undefined => headerOf(error, name);
  const status = memberOf(error, 'name') === 'RestError' ? memberOf(error, 'statusCode') : undefined;
  return {
    status: typeof status === 'number' ? status : undefined,
    // Answers to HEAD have no body: their code is in a header alone.
    answer: header('x-ms-error-code') ?? systemErrorCode(error),
    requestId: header('x-ms-request-id'),
    date: header('date'),
  };
}

function headerOf(error: unknown, name: string): string | undefined {
  const headers = memberOf(memberOf(error, 'response'), 'headers');
  const get = memberOf(headers, 'get');
  const value: unknown = typeof get === 'function' ? get.call(headers, name) : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

function meaningOf(answer: string | undefined, status: number): Meaning {
  const meaning = answer === undefined ? undefined : MEANINGS[answer];
  if (meaning !== undefined) return meaning;
  // Only the store itself can say that an object is missing: a 404 without its code may be of anybody on the way.
  return { code: status === 404 ? 'STORAGE_UNAVAILABLE' : codeOfStatus(status) };
}

function skewed(answer: string | undefined, date: string | undefined, now: Date): Meaning | undefined {
  const skewMs = Math.abs(now.getTime() - Date.parse(date ?? ''));
  if (answer !== 'AuthenticationFailed' || !(skewMs > CLOCK_SKEW_MS)) return undefined;
  const minutes = Math.round(skewMs / 60_000);
  return {
    code: 'STORAGE_DENIED',
    hint: `the clock of this host is ${minutes} minutes from the store's: set it right`,
  };
}

function isCertificateError(reason: string): boolean {
  return /CERT|SIGNATURE|_ISSUER/.test(reason);
}
