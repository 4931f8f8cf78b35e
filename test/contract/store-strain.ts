import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { openDriver } from '../../storage-drivers/registry.ts';
import { toWaldenError } from '../../src/errors.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import { repositoryName } from '../../src/repository/names.ts';
import { WalFetcher } from '../../src/wal/fetch.ts';
import { storeWalFile } from '../../src/wal/store.ts';
import { bodyOf, keysOf, store, textOf } from '../support/bodies.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { newDirectory } from '../support/sandbox.ts';
import { FaultScene } from '../support/stores/fault-scene.ts';
import { gcsCertificates } from '../support/stores/gcs-certificates.ts';
import { atPort, type StoreKindUnderTest } from '../support/stores/store-under-test.ts';
import { troublesOf } from '../support/stores/troubles.ts';
import { until, within } from '../support/until.ts';
import { createWalPool, setUpWal } from '../support/wal-setup.ts';

const KEY = objectKey('main/wal/it');
const MEBIBYTE = 1024 ** 2;
const DEADLINE_MS = 240_000;
const TWENTY_MINUTES_MS = 20 * 60_000;
const MANY_KEYS = 5_000;
/** Swift and Azurite take some 50 of them a second on a busy machine. */
const MANY_KEYS_MS = 900_000;
const SIDE_BY_SIDE = 16;
/** What happens to one of the pages. */
const LISTING_TROUBLES = [
  'an answer of 503 to slow down',
  'an answer that is lost',
  'an answer that is cut',
  'a reset on the way down',
];

/** Keys that a file system, a shell or a URL might make something else of. */
const ODD_KEYS = [
  '-',
  '-rf',
  '...',
  '.hidden',
  '_',
  'A/x',
  'CON',
  'b',
  'a..b/--/__',
  'a.b',
  'a/.../b',
  `${'n'.repeat(250)}/x`,
];

/** What cannot be tried on a store, and why. */
const NOT_FOR: Readonly<Record<string, Partial<Record<StoreKindUnderTest['driver'], string>>>> = {
  clock: {
    azure: 'Azurite compares no clocks; azure-errors.test.ts has what Azure answers',
    gcs: 'requests carry tokens, no times; gcs-connection.test.ts has what who gives tokens answers',
    sftp: 'SSH knows no time',
  },
  change: { sftp: 'SSH checks what it carries: the connection ends, as above' },
  authority: { sftp: 'SSH knows no authorities; sftp-login.test.ts has keys that are not the server’s' },
};

const pool = createWalPool();
afterAll(() => pool.close());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function sideBySide(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

/** What is more than one fault: many requests, many keys, and what a store or the host has wrong all the time. */
export function storeUnderStrain(kind: StoreKindUnderTest): void {
  const { driver: type } = kind;
  const rowOf = (row: string, title: string, test: () => Promise<void>): void => {
    const reason = NOT_FOR[row]?.[type];
    if (reason === undefined) it(title, test);
    else it.skip(`${title}: not for ${kind.what}: ${reason}`, test);
  };

  describe(`${kind.what}:`, () => {
    const scene = new FaultScene(kind);
    afterEach(() => {
      vi.useRealTimers();
    });

    rowOf('authority', 'is reached by TLS of its authority, and refused by another', async () => {
      const [right, wrong] = [gcsCertificates(newDirectory('tls')), gcsCertificates(newDirectory('tls'))];
      const proxy = await FaultProxy.start(scene.store.port, right.tls);
      const options = scene.store.options();
      const driver = await scene.open({}, atPort(options, proxy.port, right.caFile));
      await store(driver, KEY, 'over TLS');
      expect(await textOf(driver, KEY)).toBe('over TLS');
      for (const caFile of [wrong.caFile, undefined]) {
        const elsewhere = { ...atPort(options, proxy.port, right.caFile), caFile };
        const refused = await openDriver(elsewhere, { instance: 'test', access: 'read-only' });
        const hint = expect.stringContaining('ca_file') as string;
        await expect(refused.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint });
        await expect(keysOf(refused)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint });
        await refused.close();
      }
      await driver.close();
      await proxy.stop();
    });

    it('with credentials that have run out is STORAGE_DENIED at once, and works with new ones', async () => {
      const driver = await scene.open();
      await store(driver, KEY, 'x');
      const restore = scene.expire();
      const calls: readonly ((driver: StorageDriver) => Promise<unknown>)[] = [
        (driver) => driver.stat(KEY),
        (driver) => store(driver, 'main/wal/other', 'x'),
        (driver) => textOf(driver, KEY),
        (driver) => keysOf(driver),
        (driver) => driver.remove(KEY),
      ];
      for (const call of calls) await expect(call(driver)).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
      restore();
      expect(await textOf(driver, KEY)).toBe('x');
    });

    rowOf('clock', 'tells of a clock that is twenty minutes off, and goes on by the time of the store', async () => {
      const options = scene.options();
      const [bare, driver] = [await scene.bare(options), await scene.open({}, options)];
      await store(driver, KEY, 'x');
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + TWENTY_MINUTES_MS });
      const hint = expect.stringContaining('clock') as string;
      await expect(keysOf(bare)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint });
      expect(await keysOf(driver)).toEqual([KEY]);
      await expect(store(driver, KEY, 'y')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      await store(driver, 'main/wal/other', 'y');
    });

    rowOf('change', 'has what changed on its way down refused by who reads it, and read again', async () => {
      const setup = await setUpWal(pool, [{ name: repositoryName('far'), driver: await scene.open() }]);
      const fetcher = new WalFetcher(setup.context, setup.spool);
      const name = setup.segment(3n);
      await storeWalFile(setup.context, parseWalName(name), join(setup.dataDirectory, 'pg_wal', name));
      (scene.way as FaultProxy).plan(/^GET .*\.zst/, 'answer changed');
      await expect(fetcher.fetch(name)).rejects.toMatchObject({
        // As it hits the header or what follows.
        code: expect.stringMatching(/^(CHECKSUM_MISMATCH|FORMAT_INVALID)$/) as string,
      });
      expect(await fetcher.fetch(name)).toBe('ready');
      await fetcher.stop();
    });

    it(
      `lists ${MANY_KEYS} keys over several pages, some of which go wrong`,
      async () => {
        const options = scene.options();
        const [bare, driver] = [await scene.bare(options), await scene.open({}, options)];
        const keys = Array.from({ length: MANY_KEYS }, (_, index) => `wal/${String(index).padStart(5, '0')}`);
        await sideBySide(keys.length, (index) =>
          bare.put(objectKey(keys[index]!), bodyOf(''), { ifExists: 'replace' }),
        );
        expect(await within(keysOf(driver), DEADLINE_MS, 'the listing')).toEqual(keys);
        for (const trouble of troublesOf(type).filter(({ what }) => LISTING_TROUBLES.includes(what))) {
          trouble.strike(scene.way, 'list', { nth: 2 });
          expect(await within(keysOf(driver), DEADLINE_MS, 'the listing')).toEqual(keys);
        }
      },
      MANY_KEYS_MS,
    );

    it('takes keys of every form that a key may have, and gives them back', async () => {
      const driver = await scene.open();
      for (const key of ODD_KEYS) await store(driver, key, key);
      expect(await keysOf(driver)).toEqual(ODD_KEYS.toSorted());
      for (const key of ODD_KEYS) expect(await textOf(driver, key)).toBe(key);
      for (const key of ODD_KEYS) await driver.remove(objectKey(key));
      expect(await keysOf(driver)).toEqual([]);
    });

    it('keeps neither memory nor connections of two hundred uploads that fail', async () => {
      const driver = await scene.open();
      const bytes = randomBytes(MEBIBYTE);
      const used = (): number => {
        collectGarbage();
        return process.memoryUsage().arrayBuffers;
      };
      const before = used();
      scene.failAll();
      const codes = new Set<unknown>();
      await sideBySide(200, async (index) => {
        // What the test looks at must not be what keeps the bodies.
        await driver.put(objectKey(`main/${index}`), bodyOf(bytes), { ifExists: 'fail' }).catch((error: unknown) => {
          codes.add(toWaldenError(error).code);
        });
      });
      expect([...codes]).toEqual(['STORAGE_UNAVAILABLE']);
      scene.way.clear();
      await until(() => used() < before + 8 * MEBIBYTE, {
        what: 'the memory to be free',
        explain: () => `${before} before, ${used()} now`,
      });
      // As much as uploads may hold: a byte that is still held for one that failed would keep this from ever going up.
      const all = Buffer.alloc(driver.features.uploadMemoryBytes);
      await within(driver.put(KEY, bodyOf(all), { ifExists: 'fail' }), DEADLINE_MS, 'an upload with all memory');
    });
  });
}
