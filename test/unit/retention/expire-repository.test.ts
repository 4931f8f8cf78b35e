import { beforeEach, describe, expect, it } from 'vitest';
import type { Catalog } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { fillWork } from '../../../src/copy/fill-work.ts';
import { type ErrorCode, WaldenError } from '../../../src/errors.ts';
import { expireRepository, previewExpiry } from '../../../src/retention/expire-repository.ts';
import type { RetentionOrder } from '../../../src/retention/gather-input.ts';
import { putHold } from '../../../src/repository/hold-file.ts';
import { backupRecordKey } from '../../../src/repository/keys.ts';
import type { ObjectKey, StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { FAR, MAIN, micros, NEAR } from '../../support/catalog-rows.ts';
import { CLOCK, fillArchive, IDS, NOW, orderOf, placeIn, segmentsIn, TWO_FULL } from '../../support/expiring.ts';

const signal = new AbortController().signal;
const EVERY = [IDS.first, IDS.increment, IDS.held, IDS.third, IDS.last];

let catalog: Catalog;
let driver: MemoryDriver;

beforeEach(async () => {
  [catalog, driver] = [SqliteCatalog.open(':memory:'), new MemoryDriver()];
  await fillArchive(catalog, driver);
});

/** A store that does not let these objects go. */
function refusing(code: ErrorCode, isMeant: (key: ObjectKey) => boolean): StorageDriver {
  return new Proxy<StorageDriver>(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (name !== 'remove') return member.bind(target) as unknown;
      return async (key: ObjectKey) => {
        if (isMeant(key)) throw new WaldenError(code, `unable to remove ${key}`, { details: { until: '2027-03-01' } });
        await target.remove(key);
      };
    },
  });
}

function expire(on: StorageDriver = driver, facts: Partial<RetentionOrder> = {}) {
  const quiet = { clock: CLOCK, signal, onProgress: () => undefined };
  return expireRepository(placeIn(catalog, on), orderOf(facts), quiet);
}

async function complete(): Promise<readonly string[]> {
  return (await catalog.backups(MAIN)).filter(({ state }) => state === 'complete').map(({ id }) => id);
}

describe('expireRepository', () => {
  it('keeps what the store has locked, with what that needs, and says until when', async () => {
    const record = backupRecordKey(MAIN, IDS.increment);
    const { done } = await expire(refusing('STORAGE_LOCKED', (key) => key === record));
    expect(done.refused).toMatchObject([{ what: `backup ${IDS.increment}`, until: '2027-03-01' }]);
    expect(await complete()).toEqual(EVERY);
    expect(await segmentsIn(catalog)).toEqual([1, 2, 4, 5, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    expect((await catalog.expired(NEAR, MAIN)).backups).toEqual([]);
    expect((await expire()).done.backups).toEqual([IDS.increment, IDS.first]);
  });

  it('does not even try what its lock still holds', async () => {
    const asked: string[] = [];
    const watched = refusing('STORAGE_LOCKED', (key) => asked.push(key) === 0);
    await expire(watched, { lockSeconds: 90 * 86_400 });
    expect(asked.filter((key) => /20270115.*backup\.json|\/wal\//.test(key))).toEqual([]);
    expect(await complete()).toEqual(EVERY);
  });

  it('leaves everything, and every window, as it was where nothing may be removed', async () => {
    await expect(expire(refusing('STORAGE_DENIED', () => true))).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    expect(await complete()).toEqual(EVERY);
    expect(await segmentsIn(catalog)).toHaveLength(20);
    expect(await catalog.expired(NEAR, MAIN)).toMatchObject({ backups: [], wal: [] });
  });

  it('removes nothing when a restore has begun before what goes was marked, and has it all as it was', async () => {
    const assertUndisturbed = async (): Promise<void> => {
      // From here on nobody chooses it any more.
      expect(await complete()).toEqual(EVERY.filter((id) => id !== IDS.first && id !== IDS.increment));
      throw new WaldenError('LOCK_HELD', 'a restore has begun');
    };
    await expect(expire(driver, { assertUndisturbed })).rejects.toMatchObject({ code: 'LOCK_HELD' });
    expect(await complete()).toEqual(EVERY);
    expect(await segmentsIn(catalog)).toHaveLength(20);
    expect(await catalog.expired(NEAR, MAIN)).toMatchObject({ backups: [], wal: [] });
    expect((await expire()).done.backups).toEqual([IDS.increment, IDS.first]);
  });

  it('has windows reach back from what the server told last: neither a wrong clock nor silence shortens them', async () => {
    const policy = { ...TWO_FULL, minimumBackups: undefined, recoveryWindowSeconds: 86_400 };
    expect((await expire(driver, { policy })).done).toMatchObject({ backups: [], walFiles: 0 });
    const later = await previewExpiry(placeIn(catalog, driver), orderOf({ policy, isSimulated: true }), signal);
    expect(later.plan.backups.go.map(({ id }) => id)).toEqual([IDS.third, IDS.increment, IDS.first]);
  });

  it('ends no hold by a clock that the server has not confirmed', async () => {
    const order = { action: 'keep', until: micros(1_000_000), reason: undefined } as const;
    await putHold({ name: NEAR, driver }, MAIN, IDS.first, order, micros(20_000));
    expect((await expire()).done.backups).toEqual([IDS.increment]);
    expect((await expire(driver, { isSimulated: true })).done.backups).toEqual([IDS.first]);
  });

  it('removes nothing while the repository holds a backup that the catalog does not know', async () => {
    await catalog.markRemoving(NEAR, MAIN, IDS.held);
    await catalog.forgetBackup(NEAR, MAIN, IDS.held);
    await expect(expire()).rejects.toMatchObject({ code: 'CATALOG_INCOMPLETE' });
    expect(await segmentsIn(catalog)).toHaveLength(20);
  });

  it('counts a backup that has lost its record as none, and removes nothing while there is no other', async () => {
    for (const id of EVERY) await driver.remove(backupRecordKey(MAIN, id));
    const { plan, done, leftovers } = await expire();
    expect(plan.blocked).toContain('no usable backup');
    expect({ done, leftovers }).toEqual({
      done: { backups: [], walFiles: 0, leftovers: 0, refused: [] },
      leftovers: { backups: [], holds: [], unfinished: [] },
    });
    expect(await segmentsIn(catalog)).toHaveLength(20);
  });

  it('follows the holds of the repository, which the catalog learns', async () => {
    const repository = { name: NEAR, driver };
    await putHold(repository, MAIN, IDS.held, { action: 'release' }, micros(1));
    await putHold(
      repository,
      MAIN,
      IDS.first,
      { action: 'keep', until: micros(NOW - micros(0) + 1), reason: undefined },
      NOW,
    );
    expect((await expire()).done.backups).toEqual([IDS.held, IDS.increment]);
    expect(await catalog.holds(MAIN)).toMatchObject([{ backup: IDS.first }]);
  });

  it('keeps what other repositories lack yet, and parents of what is on its way', async () => {
    const rows = (await catalog.backups(MAIN)).filter(({ facts }) => facts !== undefined);
    const coming = {
      ...rows[1]!,
      id: '20270115T080009I' as typeof IDS.first,
      facts: { ...rows[1]!.facts!, parent: IDS.first },
    };
    const awaited = { backups: [], segments: [{ timeline: rows[0]!.facts!.timeline, first: 10n, last: 10n, by: FAR }] };
    const { plan } = await previewExpiry(placeIn(catalog, driver), orderOf({ arriving: [coming], awaited }), signal);
    expect(plan.backups.go.map(({ id }) => id)).toEqual([IDS.increment]);
    expect(plan.wal.go.some(({ first, last }) => first <= 10n && 10n <= last)).toBe(false);
  });

  it('is not undone by whoever fills the repository from another one', async () => {
    for (const backup of await catalog.backups(MAIN)) {
      if (backup.facts !== undefined) await catalog.completeBackup({ ...backup, repository: FAR }, backup.facts);
    }
    for await (const file of catalog.walFiles(NEAR, MAIN)) await catalog.recordWalFile({ ...file, repository: FAR });
    await putHold({ name: NEAR, driver }, MAIN, IDS.held, { action: 'release' }, NOW);
    await putHold(
      { name: NEAR, driver },
      MAIN,
      IDS.first,
      { action: 'keep', until: undefined, reason: undefined },
      NOW,
    );
    await expire();
    const place = { catalog, cluster: MAIN, target: { name: NEAR, driver }, sources: [{ name: FAR, driver }] };
    expect(await fillWork(place)).toEqual({ backups: [], segments: [], others: [] });
  });
});
