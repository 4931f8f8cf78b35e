import { AuthenticationError, CredentialUnavailableError } from '@azure/identity';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ErrorCode, isWaldenError, type WaldenError } from '../../../../src/errors.ts';
import { AzureDriver } from '../../../../storage-drivers/azure/azure-driver.ts';
import { azureError } from '../../../../storage-drivers/azure/azure-errors.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { bodyOf, keysOf } from '../../../support/bodies.ts';
import { type AnsweringServer, SECRET, startAnswering } from '../../../support/stores/azure-answers.ts';

const KEY = objectKey('main/one');

let server: AnsweringServer;
let driver: AzureDriver;

beforeEach(async () => {
  server = await startAnswering();
  driver = await AzureDriver.open(server.options, { access: 'read-write' });
});
afterEach(async () => {
  await driver.close();
  await server.stop();
});

async function failureOf(work: Promise<unknown>): Promise<WaldenError> {
  const error: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isWaldenError(error)) return error;
  throw new Error('no error of Walden', { cause: error });
}

function calls(): readonly (() => Promise<unknown>)[] {
  return [
    () => driver.stat(KEY),
    () => driver.get(KEY),
    () => keysOf(driver),
    () => driver.put(KEY, bodyOf('x'), { ifExists: 'replace' }),
  ];
}

const ANSWERS: readonly (readonly [number, string | undefined, ErrorCode, string])[] = [
  [403, 'AuthenticationFailed', 'STORAGE_DENIED', 'key or the SAS token'],
  [401, 'InvalidAuthenticationInfo', 'STORAGE_DENIED', 'expired'],
  [403, 'AuthorizationPermissionMismatch', 'STORAGE_DENIED', 'Storage Blob Data Contributor'],
  [403, 'AuthorizationFailure', 'STORAGE_DENIED', 'firewall'],
  [403, 'KeyBasedAuthenticationNotPermitted', 'STORAGE_DENIED', 'identity'],
  [403, 'SomethingNew', 'STORAGE_DENIED', ''],
  [407, undefined, 'STORAGE_DENIED', ''],
  [404, 'ContainerNotFound', 'STORAGE_UNAVAILABLE', 'container'],
  [409, 'ContainerBeingDeleted', 'STORAGE_UNAVAILABLE', 'container'],
  [404, undefined, 'STORAGE_UNAVAILABLE', ''],
  [404, 'ResourceNotFound', 'STORAGE_UNAVAILABLE', ''],
  [409, 'AccountBeingCreated', 'STORAGE_UNAVAILABLE', 'a minute'],
  [503, 'ServerBusy', 'STORAGE_UNAVAILABLE', ''],
  [500, 'OperationTimedOut', 'STORAGE_UNAVAILABLE', ''],
  [429, undefined, 'STORAGE_UNAVAILABLE', ''],
  [400, 'Md5Mismatch', 'STORAGE_UNAVAILABLE', ''],
  [409, 'BlobArchived', 'STORAGE_DENIED', 'archive tier'],
  [412, 'LeaseIdMissing', 'STORAGE_DENIED', 'lease'],
  [507, undefined, 'STORAGE_FULL', ''],
];

describe('an answer of the store', () => {
  it.each(ANSWERS)('%s %s is %s', async (status, code, expected, hint) => {
    server.answer = () => ({ status, ...(code === undefined ? {} : { code }) });
    for (const call of calls()) {
      const error = await failureOf(call());
      expect(error.code).toBe(expected);
      expect(error.hint).toContain(hint);
      expect(error.message).toContain(code ?? `HTTP ${status}`);
      expect(error.details).toMatchObject({ status, requestId: 'request-1' });
    }
    // One each: who waits and tries again is not the SDK.
    expect(server.requests).toHaveLength(calls().length);
  });

  it('BlobNotFound alone is the proof that an object is missing', async () => {
    server.answer = () => ({ status: 404, code: 'BlobNotFound' });
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    await expect(driver.get(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    await driver.remove(KEY);
    server.answer = () => ({ status: 404, code: 'ContainerNotFound' });
    await expect(driver.remove(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });

  it.each([
    [409, 'BlobAlreadyExists'],
    [412, 'ConditionNotMet'],
  ])('%s %s says that the key is taken', async (status, code) => {
    server.answer = () => ({ status, code });
    const put = driver.put(KEY, bodyOf('x'), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
  });

  it('tells a clock that is wrong from a key that is', async () => {
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    server.answer = () => ({ status: 403, code: 'AuthenticationFailed', headers: { date } });
    const { code, hint } = await failureOf(driver.stat(KEY));
    expect(code).toBe('STORAGE_DENIED');
    expect(hint).toContain('60 minutes');
  });

  it('is told without the key and without the signature', async () => {
    server.answer = () => ({ status: 403, code: 'AuthenticationFailed', body: `not XML, and ${SECRET}` });
    for (const call of calls()) {
      const { message, hint, details, cause } = await failureOf(call());
      const told = JSON.stringify({ message, hint, details });
      expect(told).not.toContain(SECRET);
      expect(told).not.toContain('SharedKey');
      expect(cause).toBeUndefined();
    }
  });
});

describe('what is locked', () => {
  const until = 'Fri, 03 Jul 2026 10:00:00 GMT';

  it('is said until when', async () => {
    server.answer = ({ method }) =>
      method === 'HEAD'
        ? { status: 200, headers: { 'x-ms-immutability-policy-until-date': until } }
        : { status: 409, code: 'BlobImmutableDueToPolicy' };
    const calls = [() => driver.remove(KEY), () => driver.put(KEY, bodyOf('x'), { ifExists: 'replace' })];
    for (const call of calls) {
      const { code, message, details } = await failureOf(call());
      expect(code).toBe('STORAGE_LOCKED');
      expect(message).toContain('locked until 2026-07-03T10:00:00');
      expect(details['until']).toBe('2026-07-03T10:00:00.000Z');
    }
  });

  it('is told also where the policy of the container does not say until when', async () => {
    server.answer = ({ method }) =>
      method === 'HEAD' ? { status: 200 } : { status: 409, code: 'BlobImmutableDueToPolicy' };
    const { code, hint } = await failureOf(driver.remove(KEY));
    expect(code).toBe('STORAGE_LOCKED');
    expect(hint).toContain('immutability policy');
  });
});

describe('a create that the store refused for another reason', () => {
  const reasons = ['InvalidBlockList', 'BlobImmutableDueToPolicy', 'UnauthorizedBlobOverwrite'];

  it.each(reasons)('found the key taken where the object is there (%s)', async (code) => {
    server.answer = ({ method }) =>
      method === 'HEAD' ? { status: 200, headers: { 'content-length': '7' } } : { status: 400, code };
    const put = driver.put(KEY, bodyOf('x'), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
  });

  it.each(reasons)('failed by itself where nothing is there (%s)', async (code) => {
    server.answer = ({ method }) => (method === 'HEAD' ? { status: 404, code: 'BlobNotFound' } : { status: 400, code });
    const error = await failureOf(driver.put(KEY, bodyOf('x'), { ifExists: 'fail' }));
    expect(error.code).not.toBe('STORAGE_OBJECT_EXISTS');
    expect(error.message).toContain(code);
  });
});

describe('no answer', () => {
  it('is a store out of reach', async () => {
    await server.stop();
    for (const call of calls()) {
      const error = await failureOf(call());
      expect(error.code).toBe('STORAGE_UNAVAILABLE');
      expect(error.message).toMatch(/ECONNREFUSED|ECONNRESET/);
    }
    server = await startAnswering();
  });

  it('names a host that does not exist', async () => {
    const nowhere = { ...server.options, endpoint: 'http://nowhere.invalid/account' };
    await driver.close();
    driver = await AzureDriver.open(nowhere, { access: 'read-only' });
    const error = await failureOf(driver.stat(KEY));
    expect(error.code).toBe('STORAGE_UNAVAILABLE');
    expect(error.message).toMatch(/nowhere\.invalid.*(ENOTFOUND|EAI_AGAIN)/);
  });
});

describe('an error without an answer', () => {
  const attempt = { attempted: 'read x', signal: undefined, now: new Date(0) };

  it('of an identity is denied', () => {
    for (const error of [
      new CredentialUnavailableError('no identity here'),
      new AuthenticationError(401, { error: 'invalid_client', error_description: 'the secret expired' }),
    ]) {
      expect(azureError(error, attempt)).toMatchObject({
        code: 'STORAGE_DENIED',
        hint: expect.stringContaining('az login') as string,
      });
    }
  });

  it('after the signal was aborted is INTERRUPTED', () => {
    const error = azureError(new Error('whatever'), { ...attempt, signal: AbortSignal.abort() });
    expect(error.code).toBe('INTERRUPTED');
  });

  it('of a certificate names ca_file', () => {
    const cause = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const { code, hint } = azureError(cause, attempt);
    expect(code).toBe('STORAGE_UNAVAILABLE');
    expect(hint).toContain('ca_file');
  });
});
