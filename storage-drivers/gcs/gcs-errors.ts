import { type ErrorCode, isWaldenError, systemErrorCode, WaldenError } from '../../src/errors.ts';
import { codeOfStatus } from '../http-status.ts';

/** What a call was about: `store main/wal/…` in `gs://bucket/prefix/`. */
export interface Attempt {
  readonly attempted: string;
  readonly store: string;
  readonly signal?: AbortSignal | undefined;
}

/** The store's answer to what it did not do. */
export interface Refusal {
  readonly status: number;
  readonly body: string;
}

interface Kind {
  readonly code: ErrorCode;
  readonly hint?: string;
}

const DENIED = 'STORAGE_DENIED';
const LOCKED = 'STORAGE_LOCKED';
const UNAVAILABLE = 'STORAGE_UNAVAILABLE';
const LONGEST_TEXT = 300;

/** Reasons of the JSON API that say more than their status does. */
const REASONS: Readonly<Record<string, Kind>> = {
  rateLimitExceeded: { code: UNAVAILABLE },
  userRateLimitExceeded: { code: UNAVAILABLE },
  quotaExceeded: { code: UNAVAILABLE, hint: 'raise the quota of the project in Google Cloud' },
  accountDisabled: {
    code: DENIED,
    hint: 'the project has no active billing account, or is suspended: see its billing',
  },
  retentionPolicyNotMet: {
    code: LOCKED,
    hint: 'the object is locked until the retention period of the bucket is over',
  },
  objectUnderActiveHold: { code: LOCKED, hint: 'the object is locked by a hold: release it in Google Cloud' },
  orgPolicyConstraintFailed: { code: DENIED, hint: 'a policy of the organisation forbids it' },
  userProjectMissing: { code: DENIED, hint: 'the bucket wants requesters to pay: set project' },
};
const MISSING_BUCKET: Kind = { code: UNAVAILABLE, hint: 'create the bucket, or correct bucket' };

/**
 * Of an answer. A 404 is STORAGE_UNAVAILABLE here: the store says the same of a missing object and of a missing bucket,
 * and who asks has to find out which it was.
 */
export function answerError(refusal: Refusal, attempt: Attempt): WaldenError {
  const { reason, message } = contentOf(refusal.body);
  const { code, hint } = kindOf(refusal.status, reason, message);
  const fact = [`HTTP ${refusal.status}`, reason, message].filter((part) => part !== '').join(' ');
  return failure(code, attempt, fact, hint === undefined ? {} : { hint });
}

function kindOf(status: number, reason: string, message: string): Kind {
  const known = REASONS[reason];
  if (known !== undefined) return known;
  switch (status) {
    case 401:
      return { code: DENIED, hint: 'name valid credentials in credentials_file, and check the clock of this host' };
    case 403:
      return { code: DENIED, hint: permissionHint(message) };
    case 404:
      return MISSING_BUCKET;
    default:
      return { code: codeOfStatus(status) };
  }
}

function permissionHint(message: string): string {
  const [permission] = /\bstorage\.(objects|buckets|multipartUploads)\.\w+/.exec(message) ?? [];
  const missing = permission === undefined ? 'what it needs' : `the permission ${permission}`;
  return `give the account ${missing} on the bucket, as roles/storage.objectUser does`;
}

const CLOCK_OR_KEY = 'check the clock of this host, and that the key was not revoked or deleted';

/** Of the SDK when it could not get a token. What it throws holds the request, so it is not kept as the cause. */
export function credentialsError(error: unknown, attempt: Attempt): WaldenError {
  if (attempt.signal?.aborted === true) return interrupted(attempt);
  if (isWaldenError(error)) return error;
  const { status, code, description } = oauthAnswer(error);
  const text = description ?? (error instanceof Error ? error.message : String(error));
  const fact = `no token: ${[code, text].filter((part) => part !== undefined).join(' ')}`;
  if (status === undefined ? isOfTheNetwork(error) : status === 429 || status >= 500) {
    return failure(UNAVAILABLE, attempt, fact, { hint: 'check that Google can be reached for tokens' });
  }
  const hint =
    code === 'invalid_grant'
      ? CLOCK_OR_KEY
      : 'name a service account or a workload identity in credentials_file, or set up default credentials';
  return failure(DENIED, attempt, fact, { hint });
}

const TLS_CODES = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

/** Of a connection: not made, cut, too slow, or given up by the caller's signal. */
export function connectionError(error: unknown, attempt: Attempt): WaldenError {
  if (attempt.signal?.aborted === true) return interrupted(attempt);
  if (isWaldenError(error)) return error;
  const code = systemErrorCode(error);
  const message = error instanceof Error ? error.message : String(error);
  const hint = TLS_CODES.test(code ?? '')
    ? 'name the authority of the endpoint in ca_file, and check the clock of this host'
    : 'check endpoint, proxy and the network; Walden tries again by itself';
  const fact = code === undefined || message.includes(code) ? message : `${code}: ${message}`;
  return failure(UNAVAILABLE, attempt, fact, { hint, cause: error });
}

export function interrupted({ attempted, store, signal }: Attempt): WaldenError {
  return new WaldenError('INTERRUPTED', `gave up to ${attempted} in ${store}`, { cause: signal?.reason });
}

export function failure(
  code: ErrorCode,
  { attempted, store }: Attempt,
  fact: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): WaldenError {
  return new WaldenError(code, `unable to ${attempted} in ${store} (${shortened(fact)})`, options);
}

/** Reason and message of the JSON API's error, or the text of whoever answered in its place. */
function contentOf(body: string): { readonly reason: string; readonly message: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return { reason: '', message: body };
  }
  const error = member(parsed, 'error');
  const first = member(member(error, 'errors'), 0);
  const [reason, message] = [member(first, 'reason'), member(error, 'message')];
  return { reason: textOr(reason, ''), message: textOr(message, typeof error === 'string' ? error : '') };
}

/** What the token's server answered, if it did: RFC 6749, 5.2. */
function oauthAnswer(error: unknown): {
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly description: string | undefined;
} {
  const response = member(error, 'response');
  const data = member(response, 'data');
  const [status, code, description] = [
    member(response, 'status'),
    member(data, 'error'),
    member(data, 'error_description'),
  ];
  return {
    status: typeof status === 'number' ? status : undefined,
    code: typeof code === 'string' ? code : undefined,
    description: typeof description === 'string' ? description : undefined,
  };
}

/** Not those of files: credentials that are not there are no matter of the network. */
const NETWORK_CODES = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE|EHOST|ENET)/;

function isOfTheNetwork(error: unknown): boolean {
  const code = member(error, 'code');
  return typeof code === 'string' && (NETWORK_CODES.test(code) || TLS_CODES.test(code));
}

export function member(value: unknown, name: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST_TEXT ? line : `${line.slice(0, LONGEST_TEXT)}…`;
}
