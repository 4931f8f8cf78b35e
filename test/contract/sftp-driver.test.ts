import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectBody, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { SftpDriver } from '../../storage-drivers/sftp/sftp-driver.ts';
import { PATIENCE } from '../../storage-drivers/sftp/sftp-options.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { bodyOf, collect, keysOf, sha256Of, store } from '../support/bodies.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { whyNoDisks, withinDisks } from '../support/small-disk.ts';
import { PipedSftpServer, whyNoSftpServer } from '../support/stores/piped-sftp-server.ts';
import { SftpScene } from '../support/stores/sftp-scene.ts';
import { Sshd } from '../support/stores/sshd.ts';
import { until } from '../support/until.ts';

const missing = whyNoSftpServer();
const noSshd = missing ?? (await Sshd.whyNot());
const KEY = objectKey('main/wal/one');
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };
const MEGABYTE = 1024 * 1024;
const DAY = 24 * 3600;

/** Not compressible, and the same for all tests. */
const LARGE = randomBytes(5 * MEGABYTE + 17);

describe.skipIf(missing !== undefined && process.env['CI'] === undefined)('an SFTP server', () => {
  const scene = new SftpScene();

  describe('put', () => {
    it.each(['fail', 'replace'] as const)('stores what takes many requests whole (%s)', async (ifExists) => {
      await scene.driver.put(KEY, bodyOf(LARGE), { ifExists });
      expect(sha256Of(await collect(await scene.driver.get(KEY)))).toBe(sha256Of(LARGE));
      expect(scene.staged()).toEqual([]);
    });

    it('leaves nothing of a large body that lies', async () => {
      const body = { ...bodyOf(LARGE), sha256: () => Promise.resolve('0'.repeat(64) as Sha256Hex) };
      await expect(scene.driver.put(KEY, body, { ifExists: 'fail' })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      expect([await keysOf(scene.driver), scene.staged()]).toEqual([[], []]);
    });

    it('leaves nothing when it is given up in the middle', async () => {
      const abort = new AbortController();
      let given = 0;
      const body: ObjectBody = {
        ...bodyOf(LARGE),
        open: () =>
          Readable.from(
            (function* () {
              for (; given < LARGE.length; given += MEGABYTE) {
                if (given >= 3 * MEGABYTE) abort.abort();
                yield LARGE.subarray(given, given + MEGABYTE);
              }
            })(),
            { objectMode: false },
          ),
      };
      const put = scene.driver.put(KEY, body, { ifExists: 'fail', signal: abort.signal });
      await expect(put).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(given).toBeLessThan(LARGE.length);
      expect([await keysOf(scene.driver), scene.staged()]).toEqual([[], []]);
    });

    it('makes the file durable before it has its name, and the name before it returns', async () => {
      await store(scene.driver, KEY, 'first');
      const log = await scene.logOf(() => store(scene.driver, 'main/wal/two', 'thing'));
      const steps = log.flatMap((line) => /\b(fsync|hardlink|open "[^"]*\/main\/wal")/.exec(line)?.[1] ?? []);
      expect(steps).toEqual(['fsync', 'hardlink', `open "${scene.path}/main/wal"`, 'fsync']);
    });

    it.skipIf(whyNoDisks() !== undefined)(
      'is STORAGE_FULL on a full disk, which a smaller body still fits on',
      async () => {
        const disk = newDirectory('disk');
        const small = await PipedSftpServer.start({ words: withinDisks([{ path: disk, megabytes: 3 }]) });
        // Each session has its own disk: one is enough.
        small.mostSessions = 1;
        const full = await SftpDriver.open({ ...small.options, path: disk }, { access: 'read-write' });
        const put = full.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
        await expect(put).rejects.toMatchObject({ code: 'STORAGE_FULL' });
        await store(full, KEY, 'small');
        expect(await keysOf(full)).toEqual([KEY]);
        await full.close();
        await small.stop();
      },
    );

    it('is STORAGE_DENIED where the user may not write, and names the user', async () => {
      await store(scene.driver, KEY, 'x');
      chmodSync(join(scene.path, 'main'), 0o550);
      const put = store(scene.driver, 'main/other/one', 'x');
      await expect(put).rejects.toMatchObject({
        code: 'STORAGE_DENIED',
        hint: expect.stringContaining('walden') as string,
      });
      chmodSync(join(scene.path, 'main'), 0o750);
    });

    it('works at its own pace where one session is permitted', async () => {
      scene.server.mostSessions = 1;
      await scene.reopen();
      const before = scene.server.sessions;
      await Promise.all(Array.from({ length: 8 }, (_, index) => store(scene.driver, `a/${index}`, 'x')));
      expect(await keysOf(scene.driver)).toHaveLength(8);
      expect(scene.server.sessions).toBe(before);
    });

    it('opens a few sessions, not one for each call', async () => {
      const before = scene.server.sessions;
      await Promise.all(Array.from({ length: 20 }, (_, index) => store(scene.driver, `a/${index}`, 'x')));
      expect(scene.server.sessions - before).toBeLessThanOrEqual(3);
    });
  });

  it('makes directories again that somebody removed', async () => {
    await store(scene.driver, KEY, 'x');
    for (const directory of ['main', '.staging/sftp']) {
      removeDirectory(join(scene.path, directory));
      const wrapped = driverWithRetries(scene.driver, { retries: 1, firstWaitMs: 1, longestWaitMs: 1 });
      await store(wrapped, `main/wal/${directory}`, 'x');
    }
    expect(await keysOf(scene.driver)).toEqual(['main/wal/.staging/sftp', 'main/wal/main']);
  });

  it('makes durable once what another writer left, before it shows it', async () => {
    mkdirSync(join(scene.path, 'other'));
    writeFileSync(join(scene.path, 'other/one'), 'x');
    const shows: readonly ((driver: StorageDriver) => Promise<unknown>)[] = [
      (driver) => driver.stat(objectKey('other/one')),
      async (driver) => await collect(await driver.get(objectKey('other/one'))),
      (driver) => keysOf(driver),
    ];
    for (const show of shows) {
      const driver = await scene.open();
      const syncs = async (): Promise<number> =>
        (await scene.logOf(() => show(driver), driver)).filter((line) => line.includes('fsync')).length;
      // The directory and the root, which is known already.
      expect(await syncs()).toBe(2);
      expect(await syncs()).toBe(0);
      await driver.close();
    }
  });

  describe('get', () => {
    it('closes the file, read or not', async () => {
      await scene.driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
      const begin = await scene.logged();
      await collect(await scene.driver.get(KEY));
      (await scene.driver.get(KEY)).destroy();
      const abort = new AbortController();
      const aborted = await scene.driver.get(KEY, { signal: abort.signal });
      abort.abort();
      await expect(collect(aborted)).rejects.toMatchObject({ code: 'INTERRUPTED' });
      await collect(await scene.driver.get(KEY, { length: 0 }));
      const end = await scene.logged();

      const count = (what: string, to?: number): number =>
        scene.server.log.slice(begin, to).filter((line) => line.startsWith(`${what} "${scene.path}/main`)).length;
      expect(count('open', end)).toBeGreaterThanOrEqual(4);
      // Nobody waits for a file to be closed.
      await until(() => count('close') >= count('open'), { what: 'every file to be closed' });
      expect(count('close')).toBe(count('open'));
    });

    it('does not follow a link', async () => {
      await store(scene.driver, KEY, 'x');
      symlinkSync(join(scene.path, KEY), join(scene.path, 'main/link'));
      await expect(scene.driver.get(objectKey('main/link'))).rejects.toMatchObject(UNAVAILABLE);
      await expect(scene.driver.stat(objectKey('main/link'))).rejects.toMatchObject(UNAVAILABLE);
      expect(await keysOf(scene.driver)).toEqual([KEY]);
    });
  });

  describe('list', () => {
    it('gives more than the server tells at once, in order', async () => {
      const keys: string[] = [];
      for (const directory of ['a', 'a.b', 'b/c', 'b/c-d']) {
        mkdirSync(join(scene.path, directory), { recursive: true });
        for (let index = 0; index < 300; index += 1) {
          const key = `${directory}/${String(index).padStart(4, '0')}`;
          writeFileSync(join(scene.path, key), key);
          keys.push(key);
        }
      }
      keys.sort((a, b) => (a < b ? -1 : 1));
      expect(await keysOf(scene.driver)).toEqual(keys);
      const behind: string[] = [];
      for await (const { key } of scene.driver.list('', { after: objectKey('b/c/0100') })) behind.push(key);
      expect(behind).toEqual(keys.filter((key) => key > 'b/c/0100'));
    });

    it('does not enter directories that lie before the key to go on from, or beside the prefix', async () => {
      for (const key of ['a/1', 'b/1', 'c/1', 'c/2']) await store(scene.driver, key, key);
      const entered = async (prefix: string, after: string): Promise<readonly string[]> => {
        const keys: string[] = [];
        const log = await scene.logOf(async () => {
          for await (const { key } of scene.driver.list(prefix, { after: objectKey(after) })) keys.push(key);
        });
        expect(keys).toEqual(['c/1', 'c/2'].filter((key) => key > after));
        return log.flatMap((line) => /^opendir "(.*)"/.exec(line)?.[1] ?? []);
      };
      expect(await entered('c/', 'c/1')).toEqual([scene.path, join(scene.path, 'c/')]);
      expect(await entered('', 'b/1')).toEqual(['', 'b/', 'c/'].map((directory) => join(scene.path, directory)));
    });

    it('refuses a link to a directory', async () => {
      await store(scene.driver, KEY, 'x');
      symlinkSync(join(scene.path, 'main'), join(scene.path, 'other'));
      await expect(keysOf(scene.driver)).rejects.toMatchObject(UNAVAILABLE);
    });
  });

  describe('a root that is gone', () => {
    const calls: readonly [string, (driver: StorageDriver) => Promise<unknown>][] = [
      ['put', (driver) => store(driver, 'main/wal/two', 'x')],
      ['get', (driver) => driver.get(KEY)],
      ['stat', (driver) => driver.stat(KEY)],
      ['list', (driver) => keysOf(driver)],
      ['remove', (driver) => driver.remove(KEY)],
    ];

    it.each(calls)('is STORAGE_UNAVAILABLE, also behind an empty directory (%s)', async (_what, call) => {
      const { driver, path } = scene;
      await store(driver, KEY, 'x');
      renameSync(path, `${path}.away`);
      await expect(call(driver)).rejects.toMatchObject(UNAVAILABLE);
      mkdirSync(path);
      await expect(call(driver)).rejects.toMatchObject(UNAVAILABLE);
      expect(readdirSync(path)).toEqual([]);
      rmdirSync(path);
      renameSync(`${path}.away`, path);
      await call(driver);
    });
  });

  describe('opening', () => {
    it('for reading touches nothing, and wants a root', async () => {
      const reader = await scene.open('read-only');
      expect(await keysOf(reader)).toEqual([]);
      await reader.close();
      const path = join(scene.path, 'none');
      await expect(scene.open('read-only', { path })).rejects.toMatchObject(UNAVAILABLE);
      expect(existsSync(path)).toBe(false);
    });

    it('for writing makes the root and those above it, and is ready for a second time', async () => {
      const path = join(scene.path, 'one/two/three');
      for (let time = 1; time <= 2; time += 1) {
        const writer = await scene.open('read-write', { path });
        await store(writer, `${time}/x`, 'x');
        await writer.close();
      }
      expect(statSync(path).mode & 0o777).toBe(0o750);
    });

    it('removes what a crash left long ago, and lists none of it', async () => {
      const now = Date.now() / 1000;
      const ages = { old: 8 * DAY, new: DAY };
      for (const [name, age] of Object.entries(ages)) {
        const file = join(scene.path, '.staging/sftp', name);
        writeFileSync(file, 'half');
        utimesSync(file, now - age, now - age);
      }
      const second = await scene.open();
      expect(scene.staged()).toEqual(['new']);
      expect(await keysOf(second)).toEqual([]);
      await second.close();
    });

    it('is STORAGE_DENIED where the root may not be made', async () => {
      chmodSync(scene.path, 0o550);
      const opening = scene.open('read-write', { path: join(scene.path, 'none') });
      await expect(opening).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
      chmodSync(scene.path, 0o750);
    });
  });

  it('takes no calls after it was closed', async () => {
    await scene.driver.close();
    await expect(scene.driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await until(() => scene.server.connections === 0, { what: 'the end of the connection' });
  });
});

describe.skipIf(noSshd !== undefined)('sshd', () => {
  let sshd: Sshd;
  let path: string;

  beforeEach(async () => {
    // It changes the keys of a connection that often.
    sshd = await Sshd.start(['RekeyLimit 1M']);
    path = newDirectory('store');
  });
  afterEach(async () => {
    await sshd.stop();
    removeDirectory(path);
  });

  it('may change the keys of the session at any time', async () => {
    const driver = await SftpDriver.open({ ...sshd.options, path }, { access: 'read-write' });
    const keys = ['a', 'b', 'c', 'd'].map(objectKey);
    await Promise.all(keys.map((key) => driver.put(key, bodyOf(LARGE), { ifExists: 'fail' })));
    const found = await Promise.all(keys.map(async (key) => sha256Of(await collect(await driver.get(key)))));
    expect(new Set(found)).toEqual(new Set([sha256Of(LARGE)]));
    await driver.close();
  });

  it('that is gone without a word is noticed', async () => {
    // A busy machine answers two of three within this.
    const patience = { ...PATIENCE, keepaliveMs: 1_000 };
    const driver = await SftpDriver.open({ ...sshd.options, path }, { access: 'read-write', patience });
    await store(driver, KEY, 'x');
    sshd.freeze();
    await expect(driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    expect((await driver.stat(KEY)).size).toBe(1);
    await driver.close();
  });
});
