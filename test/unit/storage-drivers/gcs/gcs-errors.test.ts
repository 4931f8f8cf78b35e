import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../../src/errors.ts';
import { answerError, connectionError, credentialsError } from '../../../../storage-drivers/gcs/gcs-errors.ts';

const ATTEMPT = { attempted: 'store main/wal/one', store: 'gs://backups/walden/' };
const ABORTED = { ...ATTEMPT, signal: AbortSignal.abort() };

function refusal(status: number, reason: string, message = 'what the store says'): { status: number; body: string } {
  const errors = [{ domain: 'global', reason, message }];
  return { status, body: JSON.stringify({ error: { code: status, message, errors } }) };
}

/** As Node and its TLS throw them. */
function systemError(code: string, message = `it went wrong: ${code}`): Error {
  return Object.assign(new Error(message), { code });
}

describe('an answer of the store', () => {
  it.each([
    [401, 'authError', 'STORAGE_DENIED', 'clock'],
    [401, 'required', 'STORAGE_DENIED', 'credentials_file'],
    [403, 'forbidden', 'STORAGE_DENIED', 'roles/storage.objectUser'],
    [403, 'insufficientPermissions', 'STORAGE_DENIED', 'roles/storage.objectUser'],
    [403, 'accountDisabled', 'STORAGE_DENIED', 'billing'],
    [403, 'retentionPolicyNotMet', 'STORAGE_LOCKED', 'locked'],
    [403, 'objectUnderActiveHold', 'STORAGE_LOCKED', 'locked'],
    [403, 'rateLimitExceeded', 'STORAGE_UNAVAILABLE', ''],
    [403, 'quotaExceeded', 'STORAGE_UNAVAILABLE', 'quota'],
    [400, 'userProjectMissing', 'STORAGE_DENIED', 'project'],
    [400, 'invalid', 'STORAGE_UNAVAILABLE', ''],
    [404, 'notFound', 'STORAGE_UNAVAILABLE', 'bucket'],
    [407, '', 'STORAGE_DENIED', ''],
    [408, 'uploadBrokenConnection', 'STORAGE_UNAVAILABLE', ''],
    [410, 'gone', 'STORAGE_UNAVAILABLE', ''],
    [412, 'conditionNotMet', 'STORAGE_OBJECT_EXISTS', ''],
    [412, 'orgPolicyConstraintFailed', 'STORAGE_DENIED', 'policy'],
    [416, 'requestedRangeNotSatisfiable', 'STORAGE_SIZE', ''],
    [429, 'rateLimitExceeded', 'STORAGE_UNAVAILABLE', ''],
    [500, 'backendError', 'STORAGE_UNAVAILABLE', ''],
    [503, 'backendError', 'STORAGE_UNAVAILABLE', ''],
    [504, 'gatewayTimeout', 'STORAGE_UNAVAILABLE', ''],
  ])('with %i %s is %s', (status, reason, code, hint) => {
    const error = answerError(refusal(status, reason), ATTEMPT);
    expect(error).toMatchObject({ code, hint: expect.stringContaining(hint) as unknown });
    expect(error.message).toBe(
      `unable to store main/wal/one in gs://backups/walden/ (${['HTTP', status, reason].filter((part) => part !== '').join(' ')} what the store says)`,
    );
  });

  it('says which permission is missing', () => {
    const message =
      "backup@project.iam.gserviceaccount.com does not have storage.objects.create access to the object. Permission 'storage.objects.create' denied on resource (or it may not exist).";
    const { code, hint } = answerError(refusal(403, 'forbidden', message), ATTEMPT);
    expect(code).toBe('STORAGE_DENIED');
    expect(hint).toContain('the permission storage.objects.create on the bucket');
  });

  it.each([
    ['a text', 'Not Found', 'Not Found'],
    ['nothing', '', 'HTTP 502'],
    ['a page of some proxy', `<html>\n  <body>${'x'.repeat(1000)}</body>`, '<html> <body>xxx'],
    ['a document of another form', '{"error":"unauthorized"}', 'unauthorized'],
    ['no object', 'null', 'HTTP 502'],
  ])('may be %s', (_what, body, shown) => {
    const error = answerError({ status: 502, body }, ATTEMPT);
    expect(error.code).toBe('STORAGE_UNAVAILABLE');
    expect(error.message).toContain(shown);
    expect(error.message.length).toBeLessThan(500);
    expect(error.message).not.toContain('\n');
  });
});

describe('a connection that fails', () => {
  it.each(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH'])(
    'is STORAGE_UNAVAILABLE (%s)',
    (code) => {
      const error = connectionError(systemError(code), ATTEMPT);
      expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint: expect.stringContaining('network') as unknown });
      expect(error.message).toContain(code);
    },
  );

  it.each([
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ])('for its certificate points at ca_file (%s)', (code) => {
    const error = connectionError(systemError(code), ATTEMPT);
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint: expect.stringContaining('ca_file') as unknown });
  });

  it('is INTERRUPTED when the caller gave up, whatever went wrong then', () => {
    expect(connectionError(systemError('ECONNRESET'), ABORTED).code).toBe('INTERRUPTED');
    expect(credentialsError(systemError('ECONNRESET'), ABORTED).code).toBe('INTERRUPTED');
  });

  it('leaves an error of Walden as it is', () => {
    const own = new WaldenError('STORAGE_SIZE', 'short');
    expect(connectionError(own, ATTEMPT)).toBe(own);
    expect(credentialsError(own, ATTEMPT)).toBe(own);
  });
});

describe('a token that does not come', () => {
  /** As the SDK throws it: with the request, which holds what must not be seen. */
  function answered(status: number, data: unknown): Error {
    const config = { data: { assertion: 'secret' } };
    return Object.assign(new Error('Request failed'), { response: { status, data }, config });
  }

  it.each([
    [400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }, 'STORAGE_DENIED', 'revoked'],
    [400, { error: 'invalid_grant', error_description: 'Check your iat and exp.' }, 'STORAGE_DENIED', 'clock'],
    [401, { error: 'invalid_client' }, 'STORAGE_DENIED', 'credentials_file'],
    [429, {}, 'STORAGE_UNAVAILABLE', 'Google'],
    [500, { error: 'internal_failure' }, 'STORAGE_UNAVAILABLE', 'Google'],
  ])('was refused with %i %j', (status, data, code, hint) => {
    const error = credentialsError(answered(status, data), ATTEMPT);
    expect(error).toMatchObject({ code, hint: expect.stringContaining(hint) as unknown });
    expect(error.cause).toBeUndefined();
  });

  it.each([
    ['a network that is down', systemError('ENOTFOUND'), 'STORAGE_UNAVAILABLE'],
    ['a wrong authority', systemError('SELF_SIGNED_CERT_IN_CHAIN'), 'STORAGE_UNAVAILABLE'],
    ['a file that is not there', systemError('ENOENT'), 'STORAGE_DENIED'],
    ['a key that is none', systemError('ERR_OSSL_UNSUPPORTED'), 'STORAGE_DENIED'],
    ['no credentials at all', new Error('Could not load the default credentials.'), 'STORAGE_DENIED'],
    ['something that is no error', 'nothing', 'STORAGE_DENIED'],
  ])('because of %s', (_what, cause, code) => {
    expect(credentialsError(cause, ATTEMPT).code).toBe(code);
  });
});
