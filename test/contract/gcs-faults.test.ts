import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectBody, StorageDriver } from '../../storage-drivers/driver.ts';
import type { GcsDriver } from '../../storage-drivers/gcs/gcs-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store } from '../support/bodies.ts';
import { type Errand, FakeGcs, type Fault } from '../support/stores/fake-gcs.ts';
import { BUCKET, KIB, openGcs, wrapped } from '../support/stores/gcs-setup.ts';
import { within } from '../support/until.ts';

const KEY = objectKey('main/wal/one');
/** Two parts and a bit. */
const LARGE = randomBytes(1100 * KIB);
/** None of this may hang. */
const DEADLINE_MS = 60_000;

let fake: FakeGcs;
let bare: GcsDriver;
let driver: StorageDriver;

beforeEach(async () => {
  fake = await FakeGcs.start();
  fake.objects.addBucket(BUCKET);
  bare = await openGcs(fake.url);
  driver = wrapped(bare);
});
afterEach(async () => {
  await driver.close();
  await fake.stop();
});

async function stored(): Promise<string> {
  return sha256Of(await collect(await bare.get(KEY)));
}

describe('a part that meets trouble', () => {
  it.each(['half-kept', 308, 408] as const)('goes on where the store is (%s)', async (fault) => {
    fake.failNext('chunk', fault, fault);
    await bare.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    expect(await stored()).toBe(sha256Of(LARGE));
    expect(fake.countOf('begin')).toBe(1);
  });

  it('is not sent twice when only its answer was lost', async () => {
    fake.failNext('chunk', 'lost-answer', 'lost-answer', 'lost-answer');
    await bare.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    expect(await stored()).toBe(sha256Of(LARGE));
    expect(fake.countOf('chunk')).toBe(3);
    expect(fake.countOf('status')).toBe(3);
  });

  it('goes on when asking how far the store came meets trouble too', async () => {
    fake.failNext('chunk', 'reset');
    fake.failNext('status', 503, 'reset', 'lost-answer');
    await bare.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    expect(await stored()).toBe(sha256Of(LARGE));
  });

  it('is given up after some attempts, with nothing left behind', async () => {
    fake.failNext('chunk', ...Array.from({ length: 20 }, (): Fault => 503));
    const put = bare.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(await keysOf(bare)).toEqual([]);
    expect(fake.objects.sessions.size).toBe(0);
  });

  it('begins a new upload, with the wrappers, when the store has lost the session', async () => {
    const body = bodyOf(LARGE);
    let lost = false;
    // Asked for before the last part is sent.
    const losing: ObjectBody = {
      ...body,
      sha256: () => {
        if (!lost) fake.objects.sessions.clear();
        lost = true;
        return body.sha256();
      },
    };
    await driver.put(KEY, losing, { ifExists: 'fail' });
    expect(await stored()).toBe(sha256Of(LARGE));
    expect(fake.countOf('begin')).toBe(2);
  });

  it('is not asked for again when the key was taken meanwhile', async () => {
    fake.failNext('chunk', 412);
    const put = driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
    expect(fake.countOf('chunk')).toBe(1);
  });
});

describe('bytes that change on their way', () => {
  it('are taken away again where the store did not look', async () => {
    fake.objects.checksHashes = false;
    fake.failNext('chunk', 'flip');
    const put = bare.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(await keysOf(bare)).toEqual([]);
  });
});

describe('a download that is cut', () => {
  const BYTES = randomBytes(3 * 1024 * KIB);

  it('again and again comes whole with the wrappers', async () => {
    await bare.put(KEY, bodyOf(BYTES), { ifExists: 'fail' });
    fake.failNext('media', 'cut-answer', 'cut-answer', 'reset', 'cut-answer', 503, 'cut-answer');
    expect(sha256Of(await collect(await driver.get(KEY)))).toBe(sha256Of(BYTES));
    expect(fake.countOf('media')).toBe(7);
  });

  it('fails the same when nobody reads yet', async () => {
    await bare.put(KEY, bodyOf(BYTES), { ifExists: 'fail' });
    fake.failNext('media', 'cut-answer');
    const stream = await bare.get(KEY);
    await new Promise((resolve) => setImmediate(resolve));
    await expect(collect(stream)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});

describe('a document that is cut', () => {
  it.each<readonly [Errand, (driver: StorageDriver) => Promise<unknown>]>([
    ['stat', (driver) => driver.stat(KEY)],
    ['list', (driver) => keysOf(driver)],
  ])('is not believed (%s)', async (errand, call) => {
    await store(bare, KEY, 'x');
    fake.failNext(errand, 'cut-answer');
    await expect(within(call(bare), DEADLINE_MS, errand)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});
