import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../../../storage-drivers/driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { S3AsOfDriver } from '../../../../storage-drivers/s3/s3-as-of-driver.ts';
import { S3Driver } from '../../../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../../../storage-drivers/s3/s3-options.ts';
import { bodyOf, collect, keysOf } from '../../../support/bodies.ts';
import { newDirectory, removeDirectory } from '../../../support/sandbox.ts';
import { until } from '../../../support/until.ts';

const KEY = objectKey('main/one');
const SIZES = { singlePutBytes: 10, partBytes: 10 };

/** Stores that are wrong about something, as no real one does it on demand. Each test answers by itself. */
describe('a store', () => {
  let server: Server;
  let directory: string;
  let opened: StorageDriver | undefined;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  beforeEach(async () => {
    directory = newDirectory('keys');
    const lines = ['[default]', 'aws_access_key_id = key', 'aws_secret_access_key = secret'];
    writeFileSync(join(directory, 'credentials'), lines.join('\n'), { mode: 0o600 });
    server = createServer((request, response) => {
      request.resume().once('end', () => {
        answer(request, response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    await opened?.close();
    await new Promise((resolve) => server.close(resolve));
    removeDirectory(directory);
  });

  function options(checksums?: 'when_supported'): S3Options {
    return {
      bucket: 'walden',
      prefix: undefined,
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: undefined,
      pathStyle: undefined,
      checksums,
      profile: undefined,
      credentialsFile: join(directory, 'credentials'),
      caFile: undefined,
      proxy: undefined,
      storageClass: undefined,
      tags: undefined,
      serverSideEncryption: undefined,
      kmsKey: undefined,
      objectLock: undefined,
    };
  }

  async function open(access: 'read-only' | 'read-write', checksums?: 'when_supported'): Promise<StorageDriver> {
    opened = await S3Driver.open(options(checksums), { access, sizes: SIZES });
    return opened;
  }

  const refusal = (code: string): string => `<Error><Code>${code}</Code></Error>`;

  describe('that is tried out for conditions', () => {
    it.each<[what: string, status: (conditional: boolean, puts: number) => number, bytes: number]>([
      ['ignores them', () => 200, 0],
      ['does not know them', (conditional) => (conditional ? 501 : 200), 0],
      ['calls them wrong', (conditional) => (conditional ? 400 : 200), 0],
      ['keeps them', (_conditional, puts) => (puts === 1 ? 200 : 412), SIZES.singlePutBytes],
      ['kept them earlier already', () => 412, SIZES.singlePutBytes],
      ['is busy with another writer at first', (_conditional, puts) => (puts === 1 ? 409 : 412), SIZES.singlePutBytes],
    ])('and %s', async (_what, statusOf, createOnlyBytes) => {
      let puts = 0;
      answer = (request, response) => {
        if (request.method === 'PUT') puts += 1;
        const conditional = request.headers['if-none-match'] === '*';
        const status = request.method === 'PUT' ? statusOf(conditional, puts) : 200;
        response.writeHead(status).end(status === 200 ? '' : refusal('Some'));
      };
      expect((await open('read-write')).features.createOnlyBytes).toBe(createOnlyBytes);
    });

    it('and refuses everything is not taken for one without conditions', async () => {
      answer = (_request, response) => response.writeHead(400).end(refusal('AuthorizationHeaderMalformed'));
      await expect(open('read-write')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    });
  });

  describe('whose listing', () => {
    const page = (keys: readonly string[], next?: string): string => {
      const contents = keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('');
      const end = `<NextContinuationToken>${next ?? ''}</NextContinuationToken>`;
      const truncated = `<IsTruncated>${next !== undefined}</IsTruncated>`;
      return `<ListBucketResult>${contents}${truncated}${next === undefined ? '' : end}</ListBucketResult>`;
    };

    it.each([
      ['is out of order', page(['b', 'a'])],
      ['gives a key twice', page(['a', 'a'])],
      ['never ends', page([], 'again')],
      ['goes on nowhere', page(['a'], '')],
    ])('%s is STORAGE_UNAVAILABLE', async (_what, text) => {
      answer = (_request, response) => response.end(text);
      await expect(keysOf(await open('read-only'))).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });

    it('has an empty page in its middle goes on', async () => {
      const pages: Readonly<Record<string, string>> = { first: page([], 'second'), second: page(['b']) };
      answer = (request, response) => {
        const token = new URL(request.url ?? '', 'http://store').searchParams.get('continuation-token');
        response.end(token === null ? page(['a'], 'first') : pages[token]);
      };
      expect(await keysOf(await open('read-only'))).toEqual(['a', 'b']);
    });
  });

  describe('that tells whole seconds only, read as of one', () => {
    const [before, at] = ['2026-11-22T14:00:00.000Z', '2026-11-22T14:00:01.000Z'];
    const change = (kind: 'Version' | 'DeleteMarker', versionId: string, when: string, isLatest = false): string => {
      const size = kind === 'Version' ? `<Size>${versionId.length}</Size>` : '';
      const facts = `<VersionId>${versionId}</VersionId><IsLatest>${isLatest}</IsLatest>`;
      return `<${kind}><Key>main/one</Key>${facts}<LastModified>${when}</LastModified>${size}</${kind}>`;
    };

    it.each([
      ['takes the first of two', [change('Version', 'new', at, true), change('Version', 'older', at)], 3],
      [
        'takes bytes rather than a removal',
        [
          change('Version', 'newest', '2026-11-22T14:00:02.000Z', true),
          change('DeleteMarker', 'x', at),
          change('Version', 'v', at),
        ],
        1,
      ],
      [
        'takes a removal that still holds',
        [change('DeleteMarker', 'x', at, true), change('Version', 'v', at)],
        undefined,
      ],
      [
        'takes nothing that is younger',
        [change('Version', 'younger', '2026-11-22T14:00:02.000Z', true), change('Version', 'v', before)],
        1,
      ],
    ])('%s', async (_what, changes, size) => {
      answer = (request, response) => {
        const isAboutVersioning = request.url?.includes('versioning') === true;
        const versions = `<ListVersionsResult>${changes.join('')}<IsTruncated>false</IsTruncated></ListVersionsResult>`;
        const status = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
        response.end(isAboutVersioning ? status : versions);
      };
      opened = await S3AsOfDriver.open(options(), { asOf: new Date(at) });
      const stat = opened.stat(KEY);
      if (size === undefined) await expect(stat).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
      else expect(await stat).toEqual({ key: KEY, size });
    });

    it('and gives the same page for ever is STORAGE_UNAVAILABLE', async () => {
      const markers = '<NextKeyMarker>main/one</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>';
      answer = (_request, response) =>
        response.end('<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>');
      opened = await S3AsOfDriver.open(options(), { asOf: new Date(at) });
      answer = (_request, response) =>
        response.end(`<ListVersionsResult>${markers}<IsTruncated>true</IsTruncated></ListVersionsResult>`);
      await expect(keysOf(opened)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });
  });

  describe('that gives other bytes than asked for', () => {
    it.each([
      ['the whole object for a part', 200, {}],
      ['another part', 206, { 'content-range': 'bytes 0-4/10' }],
    ])('%s is STORAGE_UNAVAILABLE', async (_what, status, headers) => {
      answer = (_request, response) => response.writeHead(status, { 'content-length': 5, ...headers }).end('01234');
      const get = (await open('read-only')).get(KEY, { offset: 5, length: 5 });
      await expect(get).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });

    it('fewer of them is STORAGE_SIZE', async () => {
      answer = (_request, response) => {
        response.writeHead(206, { 'content-length': 3, 'content-range': 'bytes 5-7/8' }).end('567');
      };
      const get = (await open('read-only')).get(KEY, { offset: 5, length: 5 });
      await expect(get).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    });
  });

  describe('that cuts a download off before anybody reads it', () => {
    it.each([undefined, 'when_supported'] as const)(
      'is STORAGE_UNAVAILABLE for who reads it (%s)',
      async (checksums) => {
        let closed = false;
        answer = (_request, response) => {
          response.writeHead(200, { 'content-length': 100, 'x-amz-checksum-crc32': 'AAAAAA==' }).write('some');
          response.once('close', () => (closed = true));
          setImmediate(() => response.socket?.resetAndDestroy());
        };
        const stream = await (await open('read-only', checksums)).get(KEY);
        await until(() => closed, { what: 'the cut' });
        // The client hears of it some turns later than the server.
        for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        await expect(collect(stream)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      },
    );
  });

  describe('that holds another object after an upload in parts', () => {
    /** `heads`: what it says of the object, look by look: of whose upload it is, or that there is none. */
    function answerUploads(heads: readonly ((mark: string) => string | undefined)[]): void {
      let mark = '';
      let looks = 0;
      answer = (request, response) => {
        const { method, url = '' } = request;
        if (method === 'POST' && url.includes('uploads')) {
          mark = String(request.headers['x-amz-meta-walden-upload']);
          response.end('<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>');
        } else if (method === 'POST') {
          response.end('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
        } else if (method === 'HEAD') {
          const found = heads[looks]?.(mark);
          looks += 1;
          if (found === undefined) response.writeHead(404).end();
          else response.writeHead(200, { 'content-length': 25, 'x-amz-meta-walden-upload': found }).end();
        } else {
          response.writeHead(200, { etag: 'bare' }).end();
        }
      };
    }

    it.each<[what: string, afterwards: (mark: string) => string | undefined, code: string]>([
      ['somebody else’s', () => 'other', 'STORAGE_OBJECT_EXISTS'],
      ['none', () => undefined, 'STORAGE_UNAVAILABLE'],
    ])('%s: does not let the writer believe in its own', async (_what, afterwards, code) => {
      answerUploads([() => undefined, afterwards]);
      const put = (await open('read-only')).put(KEY, bodyOf('x'.repeat(25)), { ifExists: 'fail' });
      await expect(put).rejects.toMatchObject({ code });
    });

    it('its own: is believed', async () => {
      answerUploads([() => undefined, (mark) => mark]);
      await (await open('read-only')).put(KEY, bodyOf('x'.repeat(25)), { ifExists: 'fail' });
    });
  });
});
