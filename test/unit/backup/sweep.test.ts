import { beforeEach, describe, expect, it } from 'vitest';
import type { BackupFacts, BackupId, BackupStart, Catalog } from '../../../catalog/catalog.ts';
import { markActive, markEnded } from '../../../src/backup/active-backups.ts';
import { chooseBackupId } from '../../../src/backup/choose-id.ts';
import { reconcileBackups } from '../../../src/backup/reconcile.ts';
import { sweepBackups } from '../../../src/backup/sweep.ts';
import { errorToDocument, WaldenError } from '../../../src/errors.ts';
import { parseLsn, systemIdentifier, timelineId } from '../../../src/postgres/lsn.ts';
import { parseMicros } from '../../../src/postgres/timestamp.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { claimBackup, type ServiceInstance } from '../../../src/repository/backup-claim.ts';
import { encodeBackupRecord } from '../../../src/repository/backup-record.ts';
import { backupClaimKey, backupRecordKey, manifestKey, packKey } from '../../../src/repository/keys.ts';
import { clusterName, repositoryName } from '../../../src/repository/names.ts';
import { bodyOfBytes } from '../../../src/repository/object-bytes.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import type { ObjectKey, Sha256Hex } from '../../../storage-drivers/driver.ts';
import { FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { openTestCatalog } from '../../support/backup-stores.ts';
import { stubDriver } from '../../support/stub-driver.ts';

const OWN = 'own' as ServiceInstance;
const OTHER = 'other' as ServiceInstance;
const main = clusterName('main');
const local = repositoryName('local');
const signal = new AbortController().signal;
const failure = errorToDocument(new WaldenError('INTERRUPTED', 'a test'));
const moment = parseMicros('2026-11-22T02:15:00.000000Z');
const facts: BackupFacts = {
  identity: {
    systemIdentifier: systemIdentifier('7312345678901234567'),
    majorVersion: 15,
    segmentBytes: segmentBytes(16 * 1024 * 1024),
  },
  parent: undefined,
  timeline: timelineId(1),
  startLsn: parseLsn('0/5000028'),
  stopLsn: parseLsn('0/5000100'),
  stoppedAt: moment,
  finishedAt: moment,
  files: 1,
  plainBytes: 1,
  storedBytes: 1,
  checksumsVerified: true,
  corruptPages: [],
  tablespaces: [],
};

let catalog: Catalog;
let driver: MemoryDriver;
let repository: Repository;
let warnings: string[];

beforeEach(async () => {
  catalog = openTestCatalog();
  await catalog.registerCluster(main, facts.identity);
  driver = new MemoryDriver();
  repository = { name: local, driver };
  warnings = [];
});

const keeping = (): Parameters<typeof sweepBackups>[0] => ({
  catalog,
  clock: { ...systemClock, now: () => new Date('2026-11-23T00:00:00Z') },
  instance: OWN,
  log: {
    info: () => undefined,
    warn: (_facts, message) => {
      warnings.push(message);
    },
  },
});

function startOf(id: string): BackupStart {
  return { repository: local, cluster: main, id: id as BackupId, label: 'test', startedAt: moment };
}

async function store(key: ObjectKey, bytes: Uint8Array = Buffer.from('x')): Promise<void> {
  await driver.put(key, bodyOfBytes(bytes), { ifExists: 'fail' });
}

/** Objects as a backup leaves them; with `backup.json` it is one. */
async function storeBackup(id: string, complete: boolean): Promise<void> {
  const start = startOf(id);
  await store(packKey(main, start.id, 1));
  await store(manifestKey(main, start.id));
  if (!complete) return;
  const stored = { bytes: 1, sha256: 'a'.repeat(64) as Sha256Hex };
  const texts = { backupLabel: 'x', tablespaceMap: '', waldenVersion: '0' };
  await store(
    backupRecordKey(main, start.id),
    encodeBackupRecord({ start, facts, ...texts, packs: [stored], manifest: stored }),
  );
}

async function open(id: string): Promise<BackupStart> {
  const start = startOf(id);
  await catalog.openBackup([start]);
  return start;
}

async function states(): Promise<string[]> {
  return (await catalog.backups(main)).map(({ id, state }) => `${id} ${state}`);
}

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of driver.list('')) found.push(key);
  return found;
}

describe('settling the backups of a service that was killed', () => {
  it('completes what has a backup.json, and fails what has none', async () => {
    await open('20261122T021500F');
    await storeBackup('20261122T021500F', true);
    await reconcileBackups(keeping(), main, [repository]);
    expect(await states()).toEqual(['20261122T021500F complete']);
    await open('20261122T031500F');
    await storeBackup('20261122T031500F', false);
    await reconcileBackups(keeping(), main, [repository]);
    expect(await states()).toEqual(['20261122T021500F complete', '20261122T031500F failed']);
    expect((await catalog.backups(main))[0]?.facts).toEqual(facts);
  });

  it('leaves alone what this process takes', async () => {
    const { id } = await open('20261122T021500F');
    markActive(catalog, main, id);
    await reconcileBackups(keeping(), main, [repository]);
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await states()).toEqual(['20261122T021500F running']);
    markEnded(catalog, main, id);
    await reconcileBackups(keeping(), main, [repository]);
    expect(await states()).toEqual(['20261122T021500F failed']);
  });

  it.each(['KEY_MISSING', 'KEY_REFUSED', 'STORAGE_DENIED'] as const)(
    'leaves the entry as it is while its record cannot be read: %s',
    async (code) => {
      await open('20261122T021500F');
      await storeBackup('20261122T021500F', true);
      const sealed = stubDriver();
      sealed.beforeGet = () => {
        throw new WaldenError(code, 'not to be read');
      };
      await reconcileBackups(keeping(), main, [{ name: local, driver: sealed }]);
      expect(await states()).toEqual(['20261122T021500F running']);
      expect(warnings).toEqual([expect.stringContaining('unable to tell')]);
      await reconcileBackups(keeping(), main, [repository]);
      expect(await states()).toEqual(['20261122T021500F complete']);
    },
  );

  it('leaves the entry as it is while the store is out of reach', async () => {
    await open('20261122T021500F');
    await storeBackup('20261122T021500F', true);
    const away = new FaultyDriver(driver, { kind: 'read', at: 1, moment: 'before', lasting: true });
    await reconcileBackups(keeping(), main, [{ name: local, driver: away }]);
    expect(await states()).toEqual(['20261122T021500F running']);
    expect(warnings.length).toBe(1);
  });
});

describe('removing what failed backups left', () => {
  it('removes the objects and forgets the entry', async () => {
    const { id } = await open('20261122T021500F');
    await storeBackup(id, false);
    await catalog.failBackup(local, main, id, failure);
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await keys()).toEqual([]);
    expect(await states()).toEqual([]);
  });

  it('removes objects that no entry knows, unless they are a backup', async () => {
    await storeBackup('20261122T021500F', false);
    await storeBackup('20261122T031500F', true);
    await sweepBackups(keeping(), main, [repository], signal);
    expect((await keys()).every((key) => key.includes('20261122T031500F'))).toBe(true);
    expect((await keys()).length).toBe(3);
  });

  it('leaves what another service claims alone for a week, whatever the catalog says, and says so', async () => {
    const [fresh, failed, old] = ['20261122T021500F', '20261122T031500F', '20261101T021500F'];
    for (const id of [fresh, failed, old]) {
      await claimBackup(repository, main, id as BackupId, OTHER);
      await storeBackup(id, false);
    }
    await open(failed);
    await catalog.failBackup(local, main, failed as BackupId, failure);
    await sweepBackups(keeping(), main, [repository], signal);
    expect((await keys()).length).toBe(6);
    expect((await keys()).some((key) => key.includes(old))).toBe(false);
    expect(warnings.map((text) => /another service's/.test(text))).toEqual([true, true]);
  });

  it('removes what this service claimed itself, the claim last', async () => {
    const id = '20261122T021500F' as BackupId;
    await claimBackup(repository, main, id, OWN);
    await storeBackup(id, false);
    const dying = new FaultyDriver(driver, { kind: 'mutation', at: 4, moment: 'before', lasting: true });
    await sweepBackups(keeping(), main, [{ name: local, driver: dying }], signal);
    expect(await keys()).toEqual([backupClaimKey(main, id)]);
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await keys()).toEqual([]);
  });

  it('does not take a damaged claim for none', async () => {
    const id = '20261122T021500F' as BackupId;
    await store(backupClaimKey(main, id), Buffer.from('{'));
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await keys()).toEqual([backupClaimKey(main, id)]);
  });

  it('takes a failed backup for complete when its backup.json came after all', async () => {
    const { id } = await open('20261122T021500F');
    await catalog.failBackup(local, main, id, failure);
    await storeBackup(id, true);
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await states()).toEqual(['20261122T021500F complete']);
    expect((await keys()).length).toBe(3);
  });

  it('ends a removal that was begun, the backup.json first', async () => {
    const { id } = await open('20261122T021500F');
    await catalog.failBackup(local, main, id, failure);
    await storeBackup(id, true);
    await catalog.markRemoving(local, main, id);
    const dying = new FaultyDriver(driver, { kind: 'mutation', at: 2, moment: 'before', lasting: true });
    await sweepBackups(keeping(), main, [{ name: local, driver: dying }], signal);
    expect(await keys()).toEqual([packKey(main, id, 1), manifestKey(main, id)]);
    expect(await states()).toEqual(['20261122T021500F removing']);
    await sweepBackups(keeping(), main, [repository], signal);
    expect(await keys()).toEqual([]);
    expect(await states()).toEqual([]);
  });

  it.each(['STORAGE_LOCKED', 'STORAGE_DENIED'] as const)(
    'leaves what cannot be removed (%s) for the next time, says so once, and does the rest',
    async (code) => {
      const [kept, another, gone] = ['20261122T021500F', '20261122T031500F', '20261122T041500F'];
      for (const id of [kept, another, gone]) {
        await open(id);
        await storeBackup(id, false);
        await catalog.failBackup(local, main, id as BackupId, failure);
      }
      const refused = [kept, another].map((id) => packKey(main, id as BackupId, 1));
      const remove = driver.remove.bind(driver);
      driver.remove = (key) =>
        refused.includes(key)
          ? Promise.reject(new WaldenError(code, `unable to remove ${key}: it is locked until tomorrow`))
          : remove(key);
      await sweepBackups(keeping(), main, [repository], signal);
      expect((await keys()).some((key) => key.includes(gone))).toBe(false);
      expect(await states()).toEqual([`${kept} removing`, `${another} removing`]);
      expect(warnings).toEqual([expect.stringMatching(/stays for now \(1 more of them\): .* until tomorrow$/)]);
      refused.splice(0);
      await sweepBackups(keeping(), main, [repository], signal);
      expect(await keys()).toEqual([]);
      expect(await states()).toEqual([]);
    },
  );

  it('touches nothing of a backup that has lost its backup.json', async () => {
    const start = startOf('20261122T021500F');
    await catalog.completeBackup(start, facts);
    await storeBackup(start.id, false);
    await sweepBackups(keeping(), main, [repository], signal);
    expect((await keys()).length).toBe(2);
    expect(await states()).toEqual(['20261122T021500F complete']);
    expect(warnings.length).toBe(1);
  });

  it('keeps to its own cluster', async () => {
    const other = clusterName('main-2');
    await store(packKey(other, '20261122T021500F' as BackupId, 1));
    await sweepBackups(keeping(), main, [repository], signal);
    expect((await keys()).length).toBe(1);
  });
});

describe('choosing the id of a backup', () => {
  it('takes the next second that neither the catalog nor a repository knows', async () => {
    const deps = { catalog, repositories: [repository] };
    const now = new Date('2026-11-22T02:15:00.900Z');
    expect(await chooseBackupId(deps, main, now)).toBe('20261122T021500F');
    await catalog.completeBackup(startOf('20261122T021500F'), facts);
    await storeBackup('20261122T021501F', false);
    expect(await chooseBackupId(deps, main, now)).toBe('20261122T021502F');
  });
});
