import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectBody } from '../../storage-drivers/driver.ts';
import type { GcsDriver } from '../../storage-drivers/gcs/gcs-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { FakeGcs } from '../support/stores/fake-gcs.ts';
import { portOf } from '../support/stores/fake-google.ts';
import { BUCKET, KIB, openGcs, wrapped } from '../support/stores/gcs-setup.ts';
import { until } from '../support/until.ts';

const KEY = objectKey('main/base/data');
/** Two parts and a bit. */
const LARGE = randomBytes(1100 * KIB);
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

let fake: FakeGcs;
let driver: GcsDriver;

beforeEach(async () => {
  fake = await FakeGcs.start();
  fake.objects.addBucket(BUCKET);
  driver = await openGcs(fake.url);
});
afterEach(async () => {
  await driver.close();
  await fake.stop();
});

async function expectStored(bytes: Buffer): Promise<void> {
  expect(sha256Of(await collect(await driver.get(KEY)))).toBe(sha256Of(bytes));
}

describe('a body that goes up in parts', () => {
  it.each([
    ['two parts and a bit', LARGE],
    ['exactly two parts', LARGE.subarray(0, 1024 * KIB)],
    ['one part', LARGE.subarray(0, 512 * KIB)],
    ['less than a part', LARGE.subarray(0, 65 * KIB)],
  ])('is stored whole (%s)', async (_what, bytes) => {
    await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
    await expectStored(bytes);
    expect(fake.countOf('chunk')).toBe(Math.ceil(bytes.length / (512 * KIB)));
    expect(fake.countOf('whole')).toBe(0);
  });

  it('replaces, when asked to', async () => {
    await driver.put(KEY, bodyOf('old'), { ifExists: 'replace' });
    await driver.put(KEY, bodyOf(LARGE), { ifExists: 'replace' });
    await expectStored(LARGE);
  });

  it('is refused before a byte of it is sent where the key is taken', async () => {
    await store(driver, KEY, 'old');
    const put = driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect(await textOf(driver, KEY)).toBe('old');
    expect(fake.countOf('chunk')).toBe(0);
  });

  it('loses against whoever took the key while it went up', async () => {
    const body = bodyOf(LARGE);
    // The hash is asked for behind the last byte that is read, before the last part is sent.
    const late: ObjectBody = {
      ...body,
      sha256: async () => {
        await store(driver, KEY, 'first');
        return await body.sha256();
      },
    };
    const put = driver.put(KEY, late, { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect(await textOf(driver, KEY)).toBe('first');
  });

  it('lets exactly one of six racing writers win', async () => {
    const bodies = Array.from({ length: 6 }, () => randomBytes(600 * KIB));
    const outcomes = await Promise.allSettled(
      bodies.map((bytes) => driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' })),
    );
    const winners = bodies.filter((_, writer) => outcomes[writer]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    await expectStored(winners[0]!);
  });

  it.each([
    ['too short', { size: LARGE.length + 1 }],
    ['too long', { size: LARGE.length - 1 }],
    ['other bytes', { sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) }],
  ])('leaves neither object nor session when it lies (%s)', async (_how, lie) => {
    const put = driver.put(KEY, { ...bodyOf(LARGE), ...lie }, { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    expect(await keysOf(driver)).toEqual([]);
    expect(fake.objects.sessions.size).toBe(0);
  });

  it('leaves neither object nor session when it is given up', async () => {
    fake.failNext('chunk', 'hang');
    const giveUp = new AbortController();
    const put = driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail', signal: giveUp.signal });
    await until(() => fake.countOf('chunk') === 1, { what: 'the first part' });
    giveUp.abort();
    await expect(put).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(await keysOf(driver)).toEqual([]);
    expect(fake.objects.sessions.size).toBe(0);
    expect(getEventListeners(giveUp.signal, 'abort')).toEqual([]);
  });

  it('shows nothing before its last part', async () => {
    const seen: (readonly string[])[] = [];
    const body = bodyOf(LARGE);
    const looking: ObjectBody = {
      ...body,
      sha256: async () => {
        seen.push(await keysOf(driver));
        return await body.sha256();
      },
    };
    await driver.put(KEY, looking, { ifExists: 'fail' });
    expect(seen).toEqual([[]]);
    await expectStored(LARGE);
  });
});

describe('what the store is told about an object', () => {
  it.each([
    ['in one request', 'small'],
    ['in parts', LARGE],
  ])('holds storage class, key and tags (%s)', async (_how, content) => {
    const tagged = await openGcs(fake.url, {
      prefix: undefined,
      storageClass: 'NEARLINE',
      kmsKey: 'projects/p/locations/l/keyRings/r/cryptoKeys/k',
      tags: ['team=databases', 'note=a=b'],
    });
    await tagged.put(KEY, bodyOf(content), { ifExists: 'fail' });
    const { resource } = fake.objects.object(BUCKET, KEY);
    expect(resource).toMatchObject({ storageClass: 'NEARLINE', metadata: { team: 'databases', note: 'a=b' } });
    expect(fake.queries.some((query) => query.get('kmsKeyName')?.endsWith('/k') === true)).toBe(true);
    await tagged.close();
  });

  it('names the project that pays in every request', async () => {
    const paying = await openGcs(fake.url, { project: 'payer' });
    await store(paying, KEY, 'x');
    await paying.put(objectKey('large'), bodyOf(LARGE), { ifExists: 'fail' });
    expect(await keysOf(paying)).toEqual(['large', KEY]);
    await paying.remove(KEY);
    expect(fake.queries.every((query) => query.has('upload_id') || query.get('userProject') === 'payer')).toBe(true);
    await paying.close();
  });
});

describe('list', () => {
  it('goes over pages, each key once and in order, also from the middle of one', async () => {
    const keys = Array.from({ length: 2100 }, (_, number) => `wal/${String(number).padStart(5, '0')}`);
    const prefix = 'pages';
    for (const key of keys)
      fake.objects.insert(BUCKET, `${prefix}/${key}`, Buffer.from('x'), {}, new URLSearchParams());
    const paged = await openGcs(fake.url, { prefix });
    expect(await keysOf(paged)).toEqual(keys);
    expect(fake.countOf('list')).toBe(3);
    const behind: string[] = [];
    for await (const { key } of paged.list('wal/', { after: objectKey('wal/00999') })) behind.push(key);
    expect(behind).toEqual(keys.slice(1000));
    await paged.close();
  });

  it('skips what is no object of Walden', async () => {
    for (const name of ['p/', 'p/folder/', 'p/ein Ding', 'p/real', 'pq/other']) {
      fake.objects.insert(BUCKET, name, Buffer.from('x'), {}, new URLSearchParams());
    }
    const prefixed = await openGcs(fake.url, { prefix: 'p' });
    expect(await keysOf(prefixed)).toEqual(['real']);
    await prefixed.close();
  });
});

describe('a bucket that is not there', () => {
  it('is out of reach, never empty', async () => {
    const lost = await openGcs(fake.url, { bucket: 'none' });
    const hint = 'create the bucket, or correct bucket';
    await expect(lost.stat(KEY)).rejects.toMatchObject({ ...UNAVAILABLE, hint });
    await expect(lost.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(lost.get(KEY, { length: 0 })).rejects.toMatchObject(UNAVAILABLE);
    await expect(lost.remove(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(keysOf(lost)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store(lost, KEY, 'x')).rejects.toMatchObject(UNAVAILABLE);
    await expect(lost.put(KEY, bodyOf(LARGE), { ifExists: 'replace' })).rejects.toMatchObject(UNAVAILABLE);
    await lost.close();
  });
});

describe('somebody in between who says that something is not there', () => {
  it('is not believed', async () => {
    await store(driver, KEY, 'x');
    fake.failNext('stat', 404);
    await expect(driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    fake.failNext('media', 404);
    await expect(driver.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
    fake.failNext('remove', 404);
    await expect(driver.remove(KEY)).rejects.toMatchObject(UNAVAILABLE);
    expect(await textOf(driver, KEY)).toBe('x');
  });
});

describe('a store that refuses', () => {
  it('has the key taken where it denies to overwrite what is there', async () => {
    await store(driver, KEY, 'old');
    fake.failNext('whole', 403);
    await expect(store(driver, KEY, 'new')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    fake.failNext('whole', 403);
    await expect(store(driver, 'free', 'new')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    fake.failNext('whole', 403);
    const replacing = driver.put(KEY, bodyOf('new'), { ifExists: 'replace' });
    await expect(replacing).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
  });
});

describe('a store that is not there any more', () => {
  it('is out of reach', async () => {
    await store(driver, KEY, 'x');
    await fake.stop();
    await expect(driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.remove(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(keysOf(driver)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store(driver, 'y', 'y')).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' })).rejects.toMatchObject(UNAVAILABLE);
    fake = await FakeGcs.start();
  });
});

describe('a store that takes connections and never answers', () => {
  const sockets = new Set<Socket>();
  let silent: Server;
  let hung: GcsDriver;

  beforeEach(async () => {
    silent = createServer((socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    hung = await openGcs(`http://127.0.0.1:${portOf(silent)}`);
  });
  afterEach(async () => {
    await hung.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it('is out of reach once the deadline has passed, and keeps no connection', async () => {
    const bounded = wrapped(hung, { answerMs: 100, putMs: 100 }, 0);
    await expect(bounded.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(bounded.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(bounded.remove(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(keysOf(bounded)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store(bounded, KEY, 'x')).rejects.toMatchObject(UNAVAILABLE);
    await expect(bounded.put(KEY, bodyOf(LARGE), { ifExists: 'fail' })).rejects.toMatchObject(UNAVAILABLE);
    await until(() => sockets.size === 0, { what: 'the connections to be closed' });
  });

  it('is left at once when the caller gives up', async () => {
    const giveUp = new AbortController();
    const stat = hung.stat(KEY, { signal: giveUp.signal });
    await until(() => sockets.size === 1, { what: 'the request' });
    giveUp.abort();
    await expect(stat).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await until(() => sockets.size === 0, { what: 'the connection to be closed' });
    expect(getEventListeners(giveUp.signal, 'abort')).toEqual([]);
  });
});

describe('a download', () => {
  const BYTES = randomBytes(8 * 1024 * KIB);

  beforeEach(() => driver.put(KEY, bodyOf(BYTES), { ifExists: 'fail' }));

  it('closes its connection when it is given up, read or unread', async () => {
    for await (const chunk of await driver.get(KEY)) if (Buffer.isBuffer(chunk)) break;
    for (let count = 0; count < 3; count += 1) (await driver.get(KEY)).destroy();
    await until(() => fake.sockets.size === 0, { what: 'the connections to be closed' });
  });

  it('ends at once when the caller gives up', async () => {
    const giveUp = new AbortController();
    const stream = await driver.get(KEY, { signal: giveUp.signal });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) if (Buffer.isBuffer(chunk)) giveUp.abort();
    };
    await expect(read()).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('leaves nothing behind on the signal of a caller that lives on, as every other call', async () => {
    const { signal } = new AbortController();
    await collect(await driver.get(KEY, { signal }));
    await driver.stat(KEY, { signal });
    await driver.put(objectKey('small'), bodyOf('x'), { ifExists: 'fail', signal });
    await driver.put(objectKey('large'), bodyOf(LARGE), { ifExists: 'fail', signal });
    const listed: string[] = [];
    for await (const { key } of driver.list('', { signal })) listed.push(key);
    expect(listed).toHaveLength(3);
    await driver.remove(KEY, { signal });
    const listeners = (): number => getEventListeners(signal, 'abort').length;
    await until(() => listeners() === 0, { what: 'the listeners to go' });
  });

  it('keeps its connection for the next request when it is read to its end', async () => {
    for (let count = 0; count < 3; count += 1) await collect(await driver.get(KEY));
    expect(fake.sockets.size).toBe(1);
  });

  it('refuses another range than the one it asked for', async () => {
    fake.ignoreRanges = true;
    const read = driver.get(KEY, { offset: 5, length: 5 });
    await expect(read).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
  });
});
