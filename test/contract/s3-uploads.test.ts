import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeyPrefix } from '../../storage-drivers/key-prefix.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { openClient } from '../../storage-drivers/s3/s3-client.ts';
import { S3Driver } from '../../storage-drivers/s3/s3-driver.ts';
import { S3Requests } from '../../storage-drivers/s3/s3-requests.ts';
import { ABANDONED_MS, sweepUploads } from '../../storage-drivers/s3/s3-uploads.ts';
import { bodyOf, keysOf } from '../support/bodies.ts';
import { watchProcess } from '../support/sandbox.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { MEBIBYTE, S3Scene } from '../support/stores/s3-scene.ts';
import { until } from '../support/until.ts';

const KEY = objectKey('main/base/one');
const LARGE = randomBytes(12 * MEBIBYTE);
const DEADLINE_MS = 60_000;
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'an upload in parts', () => {
  let scene: S3Scene<Rgw>;
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw);
  });
  afterAll(() => scene.end());

  it('that dies with its process is seen by nobody, and is swept when it is old', async () => {
    const options = scene.options();
    const child = spawn(process.execPath, [
      new URL('../support/stores/s3-upload-child.js', import.meta.url).pathname,
      JSON.stringify(options),
      KEY,
    ]);
    const unwatch = watchProcess(child.pid!);
    await until(async () => (await scene.parts(options.prefix!)) > 0, { what: 'a part', deadlineMs: DEADLINE_MS });
    child.kill('SIGKILL');
    await once(child, 'exit');
    unwatch();

    const driver = await S3Driver.open(options, { access: 'read-write' });
    expect(await keysOf(driver)).toEqual([]);
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' });
    expect(await scene.uploads(options.prefix!)).toEqual([`${options.prefix!}/${KEY}`]);
    await driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });

    const requests = new S3Requests(await openClient(options), options);
    const prefix = new KeyPrefix(options.prefix!).text;
    expect(await sweepUploads(requests, prefix, new Date(Date.now() - ABANDONED_MS))).toBe(0);
    expect(await sweepUploads(requests, 'some/other/', new Date(Date.now() + ABANDONED_MS))).toBe(0);
    expect(await sweepUploads(requests, prefix, new Date(Date.now() + ABANDONED_MS))).toBe(1);
    expect(await scene.uploads(options.prefix!)).toEqual([]);
    expect(await keysOf(driver)).toEqual([KEY]);
    requests.close();
    await driver.close();
  });

  it('that may not be swept does not keep the store from being opened', async () => {
    const options = scene.options({ credentialsFile: scene.credentialsFile(scene.server.stranger) });
    const requests = new S3Requests(await openClient(options), options);
    expect(await sweepUploads(requests, '', new Date(Date.now() + ABANDONED_MS))).toBe(0);
    requests.close();
  });
});
