import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { StoreDeadlines } from '../../storage-drivers/with-deadline.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of } from '../support/bodies.ts';
import type { Errand } from '../support/stores/errands.ts';
import { FaultScene } from '../support/stores/fault-scene.ts';
import type { StoreKindUnderTest } from '../support/stores/store-under-test.ts';
import { troublesOf } from '../support/stores/troubles.ts';
import { within } from '../support/until.ts';

const KEY = objectKey('main/wal/it');
const BYTES = randomBytes(64 * 1024);
/** In three parts, where bodies go up in parts. */
const LARGE = randomBytes(40 * 1024 ** 2);
/** Nothing may hang. */
const DEADLINE_MS = 120_000;
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

/** Where nothing is ever answered, until then: once, and until the retries have ended. */
const PATIENT: StoreDeadlines = { answerMs: 4_000, putMs: 4_000 };
const IMPATIENT: StoreDeadlines = { answerMs: 500, putMs: 500 };

type Call = (driver: StorageDriver) => Promise<unknown>;
const CALLS: Readonly<Record<Exclude<Errand, 'part' | 'end'>, Call>> = {
  put: (driver) => driver.put(KEY, bodyOf(BYTES), { ifExists: 'fail' }),
  get: async (driver) => sha256Of(await collect(await driver.get(KEY))),
  stat: (driver) => driver.stat(KEY),
  list: (driver) => keysOf(driver, 'main/'),
  remove: (driver) => driver.remove(KEY),
};
const RESULTS: Readonly<Partial<Record<Errand, unknown>>> = {
  get: sha256Of(BYTES),
  stat: { key: KEY, size: BYTES.length },
  list: [KEY],
};

async function timely<Result>(work: Promise<Result>): Promise<Result> {
  return await within(work, DEADLINE_MS, 'a call');
}

async function put(driver: StorageDriver, bytes: Uint8Array): Promise<void> {
  await timely(driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' }));
}

async function stored(driver: StorageDriver): Promise<string> {
  return sha256Of(await timely(driver.get(KEY).then(collect)));
}

/** What each store does when things go wrong on the way to it, in the wrappers that the service uses. */
export function storeFaults(kind: StoreKindUnderTest): void {
  describe(`${kind.what}:`, () => {
    const scene = new FaultScene(kind);

    describe.each(troublesOf(kind.driver))('$what', (trouble) => {
      const isSilence = trouble.what.startsWith('a server');
      const errands = trouble.errands.filter((errand) => errand in CALLS) as (keyof typeof CALLS)[];

      it.each(errands)('is STORAGE_UNAVAILABLE while it lasts, and success when it has passed (%s)', async (errand) => {
        const options = scene.options();
        const driver = await scene.open(isSilence ? { deadlines: IMPATIENT } : {}, options);
        if (errand !== 'put') await put(driver, BYTES);
        trouble.strike(scene.way, errand, { times: Infinity });
        const failure = await timely(CALLS[errand](driver)).then(
          () => undefined,
          (error: unknown) => error,
        );
        scene.way.clear();
        // A store that looks before it writes finds there what was stored unheard.
        if (failure === undefined && errand === 'put') expect(await stored(driver)).toBe(sha256Of(BYTES));
        else expect(failure).toMatchObject(UNAVAILABLE);

        const again = await scene.open(isSilence ? { deadlines: PATIENT } : {}, errand === 'put' ? undefined : options);
        const before = scene.way.struck;
        trouble.strike(scene.way, errand);
        const result = await timely(CALLS[errand](again));
        expect(scene.way.struck).toBe(before + 1);
        if (errand in RESULTS) expect(result).toEqual(RESULTS[errand]);
        if (errand === 'remove') expect(await keysOf(again)).toEqual([]);
      });

      it('leaves what is there as it is, and what comes as it was sent', async () => {
        const driver = await scene.open(isSilence ? { deadlines: PATIENT } : {});
        trouble.strike(scene.way, trouble.errands.includes('put') ? 'put' : 'get');
        await put(driver, BYTES);
        expect(await stored(driver)).toBe(sha256Of(BYTES));
        trouble.strike(scene.way, trouble.errands.includes('put') ? 'put' : 'get');
        await expect(put(driver, randomBytes(BYTES.length))).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
        scene.way.clear();
        expect(await stored(driver)).toBe(sha256Of(BYTES));
        expect(await keysOf(driver)).toEqual([KEY]);
      });

      it.each(trouble.errands.filter((errand) => !(errand in CALLS)))(
        'does not keep a body in parts from going up once and whole (%s)',
        async (errand) => {
          const driver = await scene.open();
          const before = scene.way.struck;
          // Google's last part is what ends an upload.
          const nth = errand === 'part' ? 2 : kind.driver === 'gcs' ? 3 : 1;
          trouble.strike(scene.way, errand, { nth });
          await put(driver, LARGE);
          expect(scene.way.struck).toBe(before + 1);
          expect(await stored(driver)).toBe(sha256Of(LARGE));
          await expect(put(driver, BYTES)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
          expect(await keysOf(driver)).toEqual([KEY]);
        },
      );
    });
  });
}
