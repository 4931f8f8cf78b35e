import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupRecord } from '../../catalog/catalog.ts';
import { reconcileBackups } from '../../src/backup/reconcile.ts';
import { isWaldenError } from '../../src/errors.ts';
import { readBackupRecord } from '../../src/repository/backup-record.ts';
import { readManifest } from '../../src/repository/manifest-reader.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { type Fault, type FaultMoment, FaultyDriver } from '../../storage-drivers/faulty/faulty-driver.ts';
import { openTestCatalog, openTestRepository, type TestRepository } from '../support/backup-stores.ts';
import { type BackupSetup, filesOf, MAIN, setUpBackup, streamOf } from '../support/backup-setup.ts';
import { newestVersion } from '../support/tested-versions.ts';

/** Enough for the claim, two packs, the manifest, backup.json, and what a failure removes; beyond it nothing fails. */
const MUTATIONS = 8;

describe.each([
  ['the files', filesOf],
  ['the protocol', streamOf],
] as const)('a backup of %s whose store fails at any mutation', (_source, sourceOf) => {
  let setup: BackupSetup;
  let sound: TestRepository;

  beforeAll(async () => {
    sound = await openTestRepository('local');
    setup = await setUpBackup({ version: newestVersion }, { catalog: openTestCatalog(), repositories: [sound] });
  }, 300_000);

  afterAll(async () => {
    await setup.dispose();
  });

  async function takeWith(repositories: readonly Repository[]): Promise<string> {
    try {
      const cluster = { name: MAIN, backup: sourceOf(setup.server), receive: undefined };
      await setup.take({ cluster, packBytes: 2_000_000 }, {}, repositories);
      return 'complete';
    } catch (error) {
      return isWaldenError(error) ? error.code : String(error);
    }
  }

  async function storedKeys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of sound.driver.list('main/base/')) keys.push(key);
    return keys;
  }

  /** A backup exists if and only if its backup.json does. */
  async function expectTruth(): Promise<readonly BackupRecord[]> {
    const keys = await storedKeys();
    const stored = keys.filter((key) => key.endsWith('/backup.json')).map((key) => key.split('/')[2]);
    const rows = await setup.deps.catalog.backups(MAIN);
    expect(rows.filter(({ state }) => state === 'complete').map(({ id }) => id)).toEqual(stored);
    return rows;
  }

  async function expectWhole(id: BackupRecord['id']): Promise<void> {
    const record = await readBackupRecord(sound, MAIN, id);
    let files = 0;
    for await (const entry of readManifest(sound, record)) files += entry.type === 'file' ? 1 : 0;
    expect(files).toBe(record.facts.files);
    for (const [index, pack] of record.packs.entries()) {
      const key = `main/base/${id}/data/0000${index + 1}.tar.zst` as Parameters<typeof sound.driver.stat>[0];
      expect((await sound.driver.stat(key)).size).toBe(pack.bytes);
    }
  }

  // A store that dies, before or after the last thing it did; and one answer that is lost.
  const kinds: readonly (readonly [FaultMoment, boolean])[] = [
    ['before', true],
    ['after', true],
    ['after', false],
  ];
  const faults = kinds.flatMap(([moment, lasting]) =>
    Array.from({ length: MUTATIONS }, (_, index): Fault => ({ kind: 'mutation', at: index + 1, moment, lasting })),
  );

  it.each(faults)(
    'leaves what the next one completes: $moment mutation $at, lasting: $lasting',
    async (fault) => {
      const faulty = new FaultyDriver(sound.driver, fault);
      const outcome = await takeWith([{ name: sound.name, driver: faulty }]);
      if (faulty.mutations >= fault.at && outcome !== 'complete') expect(outcome).toBe('STORAGE_UNAVAILABLE');
      await reconcileBackups(setup.deps, MAIN, [sound]);
      expect(await takeWith([sound])).toBe('complete');
      const rows = await expectTruth();
      expect(rows.filter(({ state }) => state !== 'complete')).toEqual([]);
      for (const { id } of rows) await expectWhole(id);
      const known = new Set<string>(rows.map(({ id }) => id));
      expect((await storedKeys()).filter((key) => !known.has(key.split('/')[2] ?? ''))).toEqual([]);
    },
    60_000,
  );

  it('keeps the backup in one repository when only the other fails at the end', async () => {
    const other = await openTestRepository('other');
    const counting = new FaultyDriver(other.driver);
    expect(await takeWith([sound, { name: other.name, driver: counting }])).toBe('complete');
    const commit: Fault = { kind: 'mutation', at: counting.mutations, moment: 'before', lasting: true };
    const failing = { name: other.name, driver: new FaultyDriver(other.driver, commit) };
    expect(await takeWith([sound, failing])).toBe('STORAGE_UNAVAILABLE');
    const rows = await setup.deps.catalog.backups(MAIN);
    const last = rows.at(-1)?.id;
    expect(rows.filter(({ id }) => id === last).map(({ repository, state }) => `${repository} ${state}`)).toEqual([
      'local complete',
      'other failed',
    ]);
  }, 60_000);
});
