import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ErrorCode, WaldenError } from '../../../../src/errors.ts';
import { s3Error } from '../../../../storage-drivers/s3/s3-errors.ts';
import { ProxyRefusal } from '../../../../storage-drivers/proxy-tunnel.ts';

const STORE = 'bucket walden at http://127.0.0.1';
const PUT = { operation: 'PutObject', attempted: 'store main/wal/one', store: STORE };

/** What the SDK makes of an answer. */
describe('an error of S3', () => {
  let server: Server;
  let client: S3Client;
  let answer: { readonly status: number; readonly body: string };
  beforeAll(async () => {
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
    server = createServer((request, response) => {
      request.resume().once('end', () => {
        response.writeHead(answer.status).end(request.method === 'HEAD' ? undefined : answer.body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = new S3Client({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: 'key', secretAccessKey: 'much-kept-secret' },
    });
  });
  afterAll(async () => {
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  async function translated(status: number, body: string): Promise<WaldenError> {
    answer = { status, body };
    const command = new PutObjectCommand({ Bucket: 'walden', Key: 'one', Body: Buffer.from('x') });
    return s3Error(await client.send(command).catch((error: unknown) => error), PUT);
  }

  const told = (code: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>some text</Message></Error>`;

  it.each<[status: number, reason: string, code: ErrorCode, hint: string]>([
    [403, 'AccessDenied', 'STORAGE_DENIED', 's3:PutObject'],
    [403, 'InvalidAccessKeyId', 'STORAGE_DENIED', 'access key'],
    [403, 'SignatureDoesNotMatch', 'STORAGE_DENIED', 'secret'],
    [400, 'ExpiredToken', 'STORAGE_DENIED', 'token'],
    [400, 'AuthorizationHeaderMalformed', 'STORAGE_DENIED', 'region'],
    [301, 'PermanentRedirect', 'STORAGE_DENIED', 'region'],
    [403, 'RequestTimeTooSkewed', 'STORAGE_UNAVAILABLE', 'clock'],
    [404, 'NoSuchBucket', 'STORAGE_UNAVAILABLE', 'bucket'],
    [404, 'NoSuchUpload', 'STORAGE_UNAVAILABLE', 'upload'],
    [404, 'NoSuchKey', 'STORAGE_OBJECT_MISSING', ''],
    [409, 'ConditionalRequestConflict', 'STORAGE_UNAVAILABLE', ''],
    [412, 'PreconditionFailed', 'STORAGE_OBJECT_EXISTS', ''],
    [416, 'InvalidRange', 'STORAGE_SIZE', ''],
    [403, 'QuotaExceeded', 'STORAGE_FULL', 'quota'],
    [507, 'XMinioStorageFull', 'STORAGE_FULL', 'quota'],
    [501, 'NotImplemented', 'STORAGE_DENIED', 'tags'],
    [400, 'InvalidStorageClass', 'STORAGE_DENIED', 'storage_class'],
    [400, 'KMS.NotFoundException', 'STORAGE_DENIED', 'kms_key'],
    [400, 'BadDigest', 'STORAGE_UNAVAILABLE', ''],
    [400, 'RequestTimeout', 'STORAGE_UNAVAILABLE', ''],
    [500, 'InternalError', 'STORAGE_UNAVAILABLE', ''],
    [503, 'SlowDown', 'STORAGE_UNAVAILABLE', ''],
    [429, 'TooManyRequests', 'STORAGE_UNAVAILABLE', ''],
  ])('%i %s is %s', async (status, reason, code, hint) => {
    const error = await translated(status, told(reason));
    expect(error).toMatchObject({ code, details: { status, reason } });
    expect(error.hint).toContain(hint);
    expect(error.message).toBe(`unable to store main/wal/one in ${STORE} (${reason})`);
  });

  it.each<[what: string, status: number, body: string, code: ErrorCode]>([
    ['a page of a gateway', 502, '<html><body>Bad gateway</body></html>', 'STORAGE_UNAVAILABLE'],
    ['a page of a server that is no store', 404, '<html>Not found</html>', 'STORAGE_UNAVAILABLE'],
    ['no body at all', 503, '', 'STORAGE_UNAVAILABLE'],
    ['no XML', 403, '{"message":"no"}', 'STORAGE_DENIED'],
    ['XML that is cut off', 500, '<Error><Code>Inter', 'STORAGE_UNAVAILABLE'],
  ])('with %s is judged by its status', async (_what, status, body, code) => {
    expect(await translated(status, body)).toMatchObject({ code, details: { status } });
  });

  it('to a HEAD proves nothing about the object, and asks for both credentials and permission', async () => {
    const head = { operation: 'HeadObject', attempted: 'look at one', store: STORE };
    const ask = (): Promise<unknown> =>
      client.send(new HeadObjectCommand({ Bucket: 'walden', Key: 'one' })).catch((error: unknown) => error);
    answer = { status: 404, body: '' };
    expect(s3Error(await ask(), head)).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    answer = { status: 403, body: '' };
    const error = s3Error(await ask(), head);
    expect(error).toMatchObject({ code: 'STORAGE_DENIED' });
    expect(error.hint).toMatch(/credentials.*s3:GetObject/);
  });

  it('of a request that was aborted is INTERRUPTED', async () => {
    const signal = AbortSignal.abort();
    const command = new GetObjectCommand({ Bucket: 'walden', Key: 'one' });
    const error: unknown = await client.send(command, { abortSignal: signal }).catch((error: unknown) => error);
    expect(s3Error(error, { ...PUT, signal })).toMatchObject({ code: 'INTERRUPTED' });
  });

  it.each<[error: Error, code: ErrorCode, hint: string]>([
    [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'STORAGE_UNAVAILABLE', ''],
    [Object.assign(new Error('x'), { code: 'ENOTFOUND' }), 'STORAGE_UNAVAILABLE', ''],
    [Object.assign(new Error('x'), { name: 'TimeoutError' }), 'STORAGE_UNAVAILABLE', ''],
    [Object.assign(new Error('x'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }), 'STORAGE_UNAVAILABLE', 'ca_file'],
    [Object.assign(new Error('x'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }), 'STORAGE_UNAVAILABLE', 'ca_file'],
    [Object.assign(new Error('x'), { name: 'CredentialsProviderError' }), 'STORAGE_DENIED', 'credentials_file'],
    [new ProxyRefusal(407), 'STORAGE_DENIED', 'proxy'],
    [new ProxyRefusal(502), 'STORAGE_UNAVAILABLE', 'proxy'],
  ])('that is no answer: %s is %s', (cause, code, hint) => {
    const error = s3Error(cause, PUT);
    expect(error).toMatchObject({ code, cause });
    expect(error.hint).toContain(hint);
  });

  it('that is Walden’s own already stays as it is', () => {
    const error = new WaldenError('STORAGE_SIZE', 'a body that lies');
    expect(s3Error(error, PUT)).toBe(error);
  });
});
