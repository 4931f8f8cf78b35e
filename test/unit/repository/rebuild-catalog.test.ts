import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupId, Catalog, RestorePoint } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { errorToDocument, WaldenError } from '../../../src/errors.ts';
import type { Lsn } from '../../../src/postgres/lsn.ts';
import { parseWalName } from '../../../src/postgres/wal-name.ts';
import { compareCatalogs } from '../../../src/repository/compare-catalogs.ts';
import { backupRecordKey, packKey, walKey } from '../../../src/repository/keys.ts';
import { rebuildAndReplace } from '../../../src/repository/rebuild-and-replace.ts';
import { rebuildCatalog } from '../../../src/repository/rebuild-catalog.ts';
import { backupStart, FAR, index, MAIN, micros, NEAR, nodeRow, timeline } from '../../support/catalog-rows.ts';
import { GeneratedRepository } from '../../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';

const COMPLETE = '20261122T021500F' as BackupId;
const LEFT_OVER = '20261123T021500F' as BackupId;
const ERROR = errorToDocument(new WaldenError('INTERRUPTED', 'x'));

let directory: string;
let catalog: SqliteCatalog;
let near: GeneratedRepository;
let far: GeneratedRepository;

beforeEach(async () => {
  directory = newDirectory('rebuild');
  catalog = SqliteCatalog.open(join(directory, 'catalog.sqlite'));
  near = new GeneratedRepository({ name: NEAR, driver: new MemoryDriver() }, catalog);
  far = new GeneratedRepository({ name: FAR, driver: new MemoryDriver() }, catalog);
  const point: RestorePoint = { name: 'p', lsn: 0x0300_0028n as Lsn, time: micros(5) };
  for (const each of [near, far]) {
    await each.begin();
    await each.addSegments(1, [1, 2, 3, 7, 8]);
    await each.addWal('000000020000000000000003', index({ restorePoints: [point], restorePointsOmitted: 2 }));
    await each.addWal('000000010000000000000009.partial', index({ lastCommit: micros(1) }));
    await each.addWal('000000010000000000000002.00000028.backup');
    await each.addWal('00000002.history');
    await each.addBackup(COMPLETE);
  }
});
afterEach(async () => {
  await catalog.close();
  removeDirectory(directory);
});

function request() {
  const repositories = [near.repository, far.repository];
  return { repositories, clusters: [MAIN], signal: new AbortController().signal };
}

/** What can be asked about one archive. */
async function answers(of: Catalog): Promise<unknown[]> {
  const found: unknown[] = [await of.clusters(), await of.clusterIdentity(MAIN), await of.backups(MAIN)];
  for (const name of [NEAR, FAR]) {
    for await (const file of of.walFiles(name, MAIN)) found.push(file);
    found.push(await of.walRanges(name, MAIN), await of.timelineHistories(name, MAIN));
    found.push(await of.restorePoints(name, MAIN, 'p'), await of.lastArchived(name, MAIN));
    for (const own of [1, 2]) {
      const span = { timeline: timeline(own), from: 2n, to: 100n };
      found.push(await of.commitBounds(name, MAIN, span));
      found.push(await of.firstSegmentWithCommitAfter(name, MAIN, span, micros(3500), false));
      found.push(await of.segmentsThatMayHoldXid(name, MAIN, span, 7));
    }
  }
  return found;
}

async function damage(): Promise<void> {
  await near.put(walKey(MAIN, parseWalName('000000010000000000000002')), Buffer.from('nothing of the kind'));
  const name = walKey(MAIN, parseWalName('00000002.history'));
  await near.put(name, Buffer.alloc(5000, 'x'));
  await far.put(backupRecordKey(MAIN, COMPLETE), Buffer.from('{}'));
  await far.put(packKey(MAIN, LEFT_OVER, 1), Buffer.from('half'));
}

describe('rebuildCatalog', () => {
  it('answers every question as before', async () => {
    const rebuilt = SqliteCatalog.open(':memory:');
    const notes: string[] = [];
    await rebuildCatalog({ ...request(), catalog: rebuilt, note: (text) => notes.push(text) });
    expect(notes).toEqual([]);
    expect(await answers(rebuilt)).toEqual(await answers(catalog));
    expect(await compareCatalogs({ ...request(), before: catalog, after: rebuilt })).toEqual([]);
    expect(await rebuilt.problems()).toEqual([]);
    await rebuilt.close();
  });

  it('passes over what is damaged, names it, and takes what was not completed for failed', async () => {
    await damage();
    const rebuilt = SqliteCatalog.open(':memory:');
    const notes: string[] = [];
    await rebuildCatalog({ ...request(), catalog: rebuilt, note: (text) => notes.push(text) });
    const named = [
      '000000010000000000000002.zst',
      '00000002.history.zst',
      'main/base/20261122',
      `no main/base/${LEFT_OVER}`,
    ];
    for (const part of named) expect(notes.filter((note) => note.includes(part))).toHaveLength(1);
    expect(notes).toHaveLength(4);
    expect((await rebuilt.backups(MAIN)).map(({ id, repository, state }) => [id, repository, state])).toEqual([
      [COMPLETE, NEAR, 'complete'],
      [LEFT_OVER, FAR, 'failed'],
    ]);
    await rebuilt.close();
  });

  it('stops when asked to', async () => {
    const rebuilt = SqliteCatalog.open(':memory:');
    const all = { ...request(), catalog: rebuilt, signal: AbortSignal.abort(), note: () => undefined };
    await expect(rebuildCatalog(all)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await rebuilt.close();
  });
});

describe('rebuildAndReplace', () => {
  it('says in words what the repositories know otherwise', async () => {
    await damage();
    await catalog.forgetWalFile(FAR, MAIN, parseWalName('000000010000000000000008').name);
    const told = await rebuildAndReplace({ ...request(), catalog });
    expect(told).toEqual(
      expect.arrayContaining([
        'WAL file 000000010000000000000002 of cluster main in repository near is missing or damaged',
        'WAL file 00000002.history of cluster main in repository near is missing or damaged',
        'WAL file 000000010000000000000008 of cluster main in repository far was not known',
        `backup ${COMPLETE} of cluster main in repository far is missing or damaged`,
      ]),
    );
    expect((await catalog.walRanges(NEAR, MAIN)).map(({ first, last }) => [first, last])).toContainEqual([1n, 1n]);
    expect(await catalog.problems()).toEqual([]);
  });

  it('keeps jobs, refusals, events, schedules, nodes and the backup that runs, also after the file is opened again', async () => {
    const { name } = parseWalName('000000010000000000000001');
    await catalog.createJob({ id: 'j', kind: 'catalog-rebuild', cluster: undefined, startedAt: micros(1) });
    await catalog.recordRefusal(MAIN, name, ERROR, micros(1));
    const event = await catalog.recordEvent({
      ...{ at: micros(1), cluster: MAIN, kind: 'wal-gap', level: 'error', subject: 's', message: 'm', facts: {} },
    });
    const schedule = { name: 'nightly', definition: 'd', settled: micros(1), job: 'j', attempts: 1 };
    await catalog.recordSchedule(schedule);
    await catalog.nodes.record(nodeRow('db1'));
    await catalog.openBackup([backupStart({ id: LEFT_OVER })]);
    await near.put(packKey(MAIN, LEFT_OVER, 1), Buffer.from('half'));
    const before = await answers(catalog);
    await rebuildAndReplace({ ...request(), catalog });
    expect(await answers(catalog)).toEqual(before);
    await catalog.close();
    catalog = SqliteCatalog.open(join(directory, 'catalog.sqlite'));
    expect(await answers(catalog)).toEqual(before);
    expect(await catalog.job('j')).toMatchObject({ state: 'running' });
    expect(await catalog.refusals(MAIN)).toHaveLength(1);
    expect(await catalog.events({ limit: 9 })).toEqual([event]);
    expect(await catalog.schedules()).toEqual([schedule]);
    expect(await catalog.nodes.all(MAIN)).toEqual([nodeRow('db1')]);
  });

  it('loses nothing that is recorded or forgotten while it reads', async () => {
    const next = await catalog.beginReplacement();
    await rebuildCatalog({ ...request(), catalog: next.catalog, note: () => undefined });
    const added = await near.addWal('00000001000000000000000A');
    await catalog.forgetWalFile(NEAR, MAIN, parseWalName('000000010000000000000001').name);
    await catalog.markRemoving(FAR, MAIN, COMPLETE);
    await catalog.forgetBackup(FAR, MAIN, COMPLETE);
    await catalog.openBackup([backupStart({ id: LEFT_OVER })]);
    await catalog.failBackup(NEAR, MAIN, LEFT_OVER, ERROR);
    const before = await answers(catalog);
    const compared = { ...request(), before: catalog, after: next.catalog };
    expect(await compareCatalogs({ ...compared, changed: (...entry) => next.changedMeanwhile(...entry) })).toEqual([]);
    expect(await compareCatalogs(compared)).toHaveLength(3);
    await next.commit();
    expect(await answers(catalog)).toEqual(before);
    expect(await catalog.walFile(NEAR, MAIN, added.name)).toEqual(added);
    expect(await catalog.problems()).toEqual([]);
  });

  describe('of what can be read now', () => {
    const read = new Set([NEAR, FAR]);
    const unknown = parseWalName('000000010000000000000008').name;
    /** The far store, which dies at its n-th read. */
    function repositories(at: number) {
      const { driver } = far.repository;
      const dying = new FaultyDriver(driver, { kind: 'read', at, moment: 'before', lasting: true });
      return [near.repository, { name: FAR, driver: dying }];
    }

    it('keeps what was known of a store that dies at any moment, and learns what the others hold', async () => {
      // Of which the store itself knows nothing any more.
      await catalog.openBackup([backupStart({ id: LEFT_OVER, repository: FAR })]);
      await catalog.failBackup(FAR, MAIN, LEFT_OVER, ERROR);
      const before = await answers(catalog);
      const away: string[] = [];
      for (let at = 1; ; at += 1) {
        await catalog.forgetWalFile(NEAR, MAIN, unknown);
        const part = { read, away: (name: string, { code }: WaldenError) => away.push(`${name} ${code}`) };
        const told = await rebuildAndReplace({ ...request(), repositories: repositories(at), catalog, part });
        expect(told).toContain(`WAL file ${unknown} of cluster main in repository near was not known`);
        expect(await catalog.problems()).toEqual([]);
        if (away.length < at) break;
        expect(await answers(catalog)).toEqual(before);
      }
      expect(away.length).toBeGreaterThan(8);
      expect(new Set(away)).toEqual(new Set(['far STORAGE_UNAVAILABLE']));
    });

    it('does not ask whom it was not told to read', async () => {
      await catalog.forgetWalFile(FAR, MAIN, unknown);
      const before = await answers(catalog);
      const part = { read: new Set([NEAR]), away: () => expect.unreachable() };
      await rebuildAndReplace({ ...request(), repositories: repositories(1), catalog, part });
      expect(await answers(catalog)).toEqual(before);
    });

    it('is not replaced by a part when nothing was said of parts', async () => {
      const before = await answers(catalog);
      await catalog.forgetWalFile(NEAR, MAIN, unknown);
      const whole = { ...request(), repositories: repositories(1), catalog };
      await expect(rebuildAndReplace(whole)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      expect(await answers(catalog)).not.toEqual(before);
    });
  });

  it('leaves the catalog in use as it was when the rebuild fails', async () => {
    const before = await answers(catalog);
    const all = { ...request(), catalog, signal: AbortSignal.abort() };
    await expect(rebuildAndReplace(all)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(await answers(catalog)).toEqual(before);
    expect(await rebuildAndReplace({ ...request(), catalog })).toEqual([]);
  });
});
