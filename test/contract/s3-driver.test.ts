import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { CreateBucketCommand, GetObjectTaggingCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ObjectBody, StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { S3Driver } from '../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../storage-drivers/s3/s3-options.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { clientOf, MEBIBYTE, S3Scene, SMALL_PARTS } from '../support/stores/s3-scene.ts';

const KEY = objectKey('main/base/one');
const LARGE = randomBytes(12 * MEBIBYTE + 17);
const whyNot = whyNoRgw();

/** The same body, which does something when it has given so much of itself. */
function bodyThat(bytes: Buffer, after: number, act: () => void | Promise<void>): ObjectBody {
  async function* chunks(): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, after);
    await act();
    yield bytes.subarray(after);
  }
  return { ...bodyOf(bytes), open: () => Readable.from(chunks(), { objectMode: false }) };
}

describe.skipIf(whyNot !== undefined)(whyNot ?? 'S3', () => {
  let scene: S3Scene<Rgw>;
  let options: S3Options;
  const opened: StorageDriver[] = [];
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw);
  });
  afterAll(() => scene.end());
  afterEach(async () => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
    for (const driver of opened.splice(0)) await driver.close();
  });

  async function open(changes: Partial<S3Options> = {}): Promise<StorageDriver> {
    options = scene.options(changes);
    const driver = await S3Driver.open(options, { access: 'read-write', sizes: SMALL_PARTS });
    opened.push(driver);
    return driver;
  }

  async function reader(changes: Partial<S3Options> = {}): Promise<StorageDriver> {
    const driver = await S3Driver.open({ ...options, ...changes }, { access: 'read-only' });
    opened.push(driver);
    return driver;
  }

  describe('open', () => {
    it('finds out that objects are created in one atomic step, again and again', async () => {
      for (const { prefix } of [scene.options(), scene.options()]) {
        for (let time = 0; time < 2; time += 1) {
          const driver = await open({ prefix });
          expect(driver.features.createOnlyBytes).toBe(SMALL_PARTS.singlePutBytes);
          expect(await keysOf(driver)).toEqual([]);
        }
      }
    });

    it('touches nothing for reading', async () => {
      const driver = await S3Driver.open(scene.options({ bucket: 'nowhere' }), { access: 'read-only' });
      expect(driver.features.createOnlyBytes).toBe(0);
      await driver.close();
    });

    it('takes no key for its own object', async () => {
      const driver = await open();
      await expect(store(driver, '.walden-probe', 'x')).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
    });

    it.each([
      ['a file that is not there', { caFile: '/nowhere/ca.pem' }],
      ['a tag without a value', { tags: ['walden'] }],
      ['a prefix that is no path', { prefix: '/backups/' }],
    ])('refuses %s', async (_what, changes) => {
      await expect(open(changes)).rejects.toMatchObject({
        code: expect.stringMatching(/^(CONFIG|FORMAT)_INVALID$/) as string,
      });
    });
  });

  describe('put of a body in parts', () => {
    it('stores it whole', async () => {
      const driver = await open();
      await driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
      expect(await driver.stat(KEY)).toEqual({ key: KEY, size: LARGE.length });
      expect(sha256Of(await collect(await driver.get(KEY)))).toBe(sha256Of(LARGE));
      const part = await collect(await driver.get(KEY, { offset: 5 * MEBIBYTE - 3, length: 6 }));
      expect(part.equals(LARGE.subarray(5 * MEBIBYTE - 3, 5 * MEBIBYTE + 3))).toBe(true);
    });

    it('leaves the old bytes untouched where the key is taken, and replaces them when asked to', async () => {
      const driver = await open();
      await store(driver, KEY, 'old');
      const put = driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
      await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      expect(await textOf(driver, KEY)).toBe('old');
      await driver.put(KEY, bodyOf(LARGE), { ifExists: 'replace' });
      expect((await driver.stat(KEY)).size).toBe(LARGE.length);
      expect(await scene.uploads(options.prefix!)).toEqual([]);
    });

    it.each([
      ['longer', { size: LARGE.length - 1 }],
      ['shorter', { size: LARGE.length + 1 }],
      ['other bytes', { sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) }],
    ])('leaves nothing of a body that is %s than promised', async (_how, lie) => {
      const driver = await open();
      const put = driver.put(KEY, { ...bodyOf(LARGE), ...lie }, { ifExists: 'fail' });
      await expect(put).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      expect(await keysOf(driver)).toEqual([]);
      expect(await scene.uploads(options.prefix!)).toEqual([]);
    });

    it('gives the upload up when it is aborted in its middle', async () => {
      const driver = await open();
      const controller = new AbortController();
      const body = bodyThat(LARGE, 6 * MEBIBYTE, async () => {
        expect(await scene.uploads(options.prefix!)).toHaveLength(1);
        controller.abort();
      });
      const put = driver.put(KEY, body, { ifExists: 'fail', signal: controller.signal });
      await expect(put).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(await scene.uploads(options.prefix!)).toEqual([]);
      expect(await keysOf(driver)).toEqual([]);
    });

    it('is tried again by its caller when somebody gave the upload up meanwhile', async () => {
      const driver = await open();
      const body = bodyThat(LARGE, 6 * MEBIBYTE, async () => {
        await scene.abortUploads(options.prefix!);
      });
      const put = driver.put(KEY, body, { ifExists: 'fail' });
      await expect(put).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', details: { reason: 'NoSuchUpload' } });
      expect(await keysOf(driver)).toEqual([]);
    });
  });

  describe('put with settings', () => {
    it('tags objects, and names their class', async () => {
      const driver = await open({ tags: ['team=data base', 'a&b=c=d'], storageClass: 'STANDARD' });
      await store(driver, 'small', 'x');
      const command = new GetObjectTaggingCommand({ Bucket: scene.bucket, Key: `${options.prefix!}/small` });
      expect((await scene.client.send(command)).TagSet).toEqual([
        { Key: 'a&b', Value: 'c=d' },
        { Key: 'team', Value: 'data base' },
      ]);
      // This version of Ceph forgets the tags of what went up in parts, but takes them.
      await driver.put(objectKey('large'), bodyOf(LARGE), { ifExists: 'fail' });
      expect((await driver.stat(objectKey('large'))).size).toBe(LARGE.length);
    });

    it('works with the newer checksums of S3 too', async () => {
      const driver = await open({ checksums: 'when_supported' });
      await store(driver, 'small', 'x');
      await driver.put(objectKey('large'), bodyOf(LARGE), { ifExists: 'fail' });
      expect(await textOf(driver, 'small')).toBe('x');
      expect(sha256Of(await collect(await driver.get(objectKey('large'))))).toBe(sha256Of(LARGE));
    });
  });

  describe('list', () => {
    it('goes on behind a page, and takes up anywhere', async () => {
      const driver = await open();
      const keys = Array.from({ length: 1103 }, (_, number) => `wal/${String(number).padStart(4, '0')}`);
      for (let from = 0; from < keys.length; from += 32) {
        await Promise.all(keys.slice(from, from + 32).map((key) => store(driver, key, 'x')));
      }
      expect(await keysOf(driver, 'wal/')).toEqual(keys);
      const rest: string[] = [];
      for await (const { key } of driver.list('wal/', { after: objectKey('wal/0050.x') })) rest.push(key);
      expect(rest).toEqual(keys.slice(51));
    });

    it('skips what no key can name', async () => {
      const driver = await open();
      await store(driver, 'some', 'x');
      for (const name of ['folder/', 'with space', 'ä', 'a//b']) {
        await scene.client.send(
          new PutObjectCommand({ Bucket: scene.bucket, Key: `${options.prefix!}/${name}`, Body: Buffer.from('x') }),
        );
      }
      expect(await keysOf(driver)).toEqual(['some']);
    });

    it('shows no other repository of the bucket', async () => {
      await store(await open({ prefix: 'shared/one' }), 'mine', 'x');
      const other = await open({ prefix: 'shared/on' });
      expect(await keysOf(other)).toEqual([]);
    });
  });

  describe('a bucket that is not there', () => {
    it('is STORAGE_UNAVAILABLE for every call, never a missing object', async () => {
      await expect(open({ bucket: 'walden-nowhere' })).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        hint: expect.stringContaining('bucket') as string,
      });
      const driver = await reader({ bucket: 'walden-nowhere' });
      const calls = [
        () => store(driver, KEY, 'x'),
        () => driver.put(KEY, bodyOf(Buffer.alloc(33 * MEBIBYTE)), { ifExists: 'fail' }),
        () => driver.get(KEY),
        () => driver.get(KEY, { length: 0 }),
        () => driver.stat(KEY),
        () => keysOf(driver),
        () => driver.remove(KEY),
      ];
      for (const call of calls) {
        await expect(call()).rejects.toMatchObject({
          code: 'STORAGE_UNAVAILABLE',
          details: { reason: 'NoSuchBucket' },
        });
      }
    });
  });

  describe('credentials', () => {
    it('that are wrong are STORAGE_DENIED, and no error tells them', async () => {
      const secretKey = randomBytes(20).toString('hex');
      const credentialsFile = scene.credentialsFile({ accessKey: scene.server.accessKey, secretKey });
      const error: unknown = await open({ credentialsFile }).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: 'STORAGE_DENIED', details: { reason: 'SignatureDoesNotMatch' } });
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(secretKey);
      const unknown = scene.credentialsFile({ accessKey: 'nobody', secretKey });
      await expect(open({ credentialsFile: unknown })).rejects.toMatchObject({
        details: { reason: 'InvalidAccessKeyId' },
      });
    });

    it('that cannot be read are STORAGE_DENIED, with what to do', async () => {
      await expect(open({ credentialsFile: '/nowhere/credentials' })).rejects.toMatchObject({
        code: 'STORAGE_DENIED',
        hint: expect.stringContaining('credentials_file') as string,
      });
    });

    it('are read anew before long', async () => {
      const credentialsFile = scene.credentialsFile(scene.server);
      const driver = await open({ credentialsFile });
      writeFileSync(credentialsFile, '[default]\n');
      expect(await keysOf(driver)).toEqual([]);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11 * 60_000 });
      await expect(keysOf(driver)).rejects.toThrow('has no keys');
    });

    it('come from the environment where no file is named', async () => {
      vi.stubEnv('AWS_ACCESS_KEY_ID', scene.server.accessKey);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', scene.server.secretKey);
      const driver = await open({ credentialsFile: undefined });
      await store(driver, 'some', 'thing');
      expect(await textOf(driver, 'some')).toBe('thing');
    });

    it('that do not suffice are STORAGE_DENIED with the permission that lacks', async () => {
      const driver = await open();
      await store(driver, KEY, 'x');
      const credentialsFile = scene.credentialsFile(scene.server.stranger);
      await expect(S3Driver.open({ ...options, credentialsFile }, { access: 'read-write' })).rejects.toMatchObject({
        code: 'STORAGE_DENIED',
        hint: expect.stringContaining('s3:PutObject') as string,
      });
      const stranger = await reader({ credentialsFile });
      const refusals = [
        [() => stranger.get(KEY), 's3:GetObject'],
        [() => stranger.stat(objectKey('none')), 's3:GetObject'],
        [() => keysOf(stranger), 's3:ListBucket'],
        [() => stranger.remove(KEY), 's3:DeleteObject'],
      ] as const;
      for (const [call, permission] of refusals) {
        const hint = expect.stringContaining(permission) as string;
        await expect(call()).rejects.toMatchObject({ code: 'STORAGE_DENIED', hint });
      }
      expect(await textOf(driver, KEY)).toBe('x');
    });
  });

  describe('a quota', () => {
    it('that is used up is STORAGE_FULL', async () => {
      const { stranger } = scene.server;
      const client = clientOf(scene.server, stranger);
      await client.send(new CreateBucketCommand({ Bucket: 'walden-small' }));
      client.destroy();
      const driver = await open({ bucket: 'walden-small', credentialsFile: scene.credentialsFile(stranger) });
      await store(driver, 'first', 'x');
      await expect(store(driver, 'second', 'x')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    });
  });
});
