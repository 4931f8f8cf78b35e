import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  Catalog,
  ClusterName,
  EventQuery,
  EventRecord,
  RestorePoint,
  WalFileRecord,
} from '../../catalog/catalog.ts';
import { errorToDocument, WaldenError } from '../../src/errors.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import {
  backupStart,
  FACTS,
  FAR,
  historyRow,
  IDENTITY,
  index,
  MAIN,
  micros,
  NEAR,
  partialRow,
  segmentRow,
  sha,
  timeline,
} from '../support/catalog-rows.ts';
import { backupsContract } from './catalog-backups-contract.ts';
import { nodesContract } from './catalog-nodes-contract.ts';
import { proofContract } from './catalog-proof-contract.ts';
import { writersContract } from './catalog-writers-contract.ts';
import { retentionContract } from './catalog-retention-contract.ts';

/** A catalog under test; `reopen` closes it and opens it again, where that is possible. */
export interface CatalogUnderTest {
  readonly catalog: Catalog;
  readonly reopen?: () => Promise<Catalog>;
  readonly end: () => Promise<void>;
}

const OTHER = 'other' as ClusterName;
const ALL = { timeline: timeline(1), from: 0n, to: 1n << 40n };

/** What every catalog must do; `open` gives a new empty one. */
export function catalogContract(what: string, open: () => Promise<CatalogUnderTest>): void {
  let subject: CatalogUnderTest;
  let catalog: Catalog;

  beforeEach(async () => {
    subject = await open();
    catalog = subject.catalog;
  });
  afterEach(async () => {
    expect(await catalog.problems()).toEqual([]);
    await subject.end();
  });

  async function record(...files: readonly WalFileRecord[]): Promise<void> {
    for (const file of files) await catalog.recordWalFile(file);
  }

  async function names(): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of catalog.walFiles(NEAR, MAIN)) found.push(name);
    return found;
  }

  describe(`${what}: registerCluster`, () => {
    it('knows the same identity again and keeps all 64 bits of the system identifier', async () => {
      expect(await catalog.registerCluster(MAIN, IDENTITY)).toBe('registered');
      expect(await catalog.registerCluster(MAIN, IDENTITY)).toBe('known');
      expect(await catalog.clusterIdentity(MAIN)).toEqual(IDENTITY);
      expect(await catalog.clusterIdentity(OTHER)).toBeUndefined();
    });

    it('refuses another identity under the same name and keeps the first', async () => {
      await catalog.registerCluster(MAIN, IDENTITY);
      await expect(catalog.registerCluster(MAIN, { ...IDENTITY, majorVersion: 16 })).rejects.toMatchObject({
        code: 'SERVER_MISMATCH',
      });
      expect(await catalog.clusterIdentity(MAIN)).toEqual(IDENTITY);
    });

    it('lists the names in order', async () => {
      await catalog.registerCluster(OTHER, IDENTITY);
      await catalog.registerCluster(MAIN, IDENTITY);
      expect(await catalog.clusters()).toEqual([MAIN, OTHER]);
    });
  });

  describe(`${what}: recordWalFile`, () => {
    it('gives every kind of file back as it was recorded', async () => {
      const point: RestorePoint = { name: 'before "it"', lsn: 0xffff_ffff_ffff_fff8n as Lsn, time: micros(3) };
      const files = [
        segmentRow(1n << 43n, { index: index({ restorePoints: [point, { ...point, name: 'b' }] }) }),
        partialRow(7),
        historyRow(2, '1\t0/3000000\tno recovery target specified\n'),
        segmentRow(9, {
          name: '000000010000000000000009.00000028.backup' as WalFileName,
          kind: 'backup',
          index: undefined,
        }),
        segmentRow(10, { index: index({ firstXid: 0xffff_fff0, lastXid: 3, restorePointsOmitted: 5 }) }),
      ];
      await record(...files);
      for (const file of files) expect(await catalog.walFile(NEAR, MAIN, file.name)).toEqual(file);
    });

    it('takes the same file again and says what the repository holds now', async () => {
      expect(await catalog.recordWalFile(segmentRow(1))).toBe('recorded');
      const again = segmentRow(1, {
        storedBytes: 700,
        archivedAt: micros(77),
        index: index({ lastCommit: micros(4) }),
      });
      expect(await catalog.recordWalFile(again)).toBe('already-recorded');
      expect(await catalog.walFile(NEAR, MAIN, again.name)).toEqual(again);
      expect(await catalog.walRanges(NEAR, MAIN)).toMatchObject([{ first: 1n, last: 1n, storedBytes: 700 }]);
      expect(await catalog.commitBounds(NEAR, MAIN, ALL)).toEqual({ first: undefined, last: micros(4) });
    });

    it('refuses the same name with another content and changes nothing', async () => {
      const file = segmentRow(1);
      await record(file);
      const other = segmentRow(1, { sha256: sha('b'), storedBytes: 5 });
      await expect(catalog.recordWalFile(other)).rejects.toMatchObject({ code: 'ARCHIVE_DUPLICATE' });
      expect(await catalog.walFile(NEAR, MAIN, file.name)).toEqual(file);
      expect(await catalog.walRanges(NEAR, MAIN)).toMatchObject([{ storedBytes: 1000 }]);
    });

    it('keeps repositories and clusters apart', async () => {
      await record(segmentRow(1), segmentRow(1, { repository: FAR, sha256: sha('b') }));
      await record(segmentRow(1, { cluster: OTHER, sha256: sha('c') }));
      const name = segmentRow(1).name;
      expect((await catalog.walFile(FAR, MAIN, name))?.sha256).toBe(sha('b'));
      expect((await catalog.walFile(NEAR, OTHER, name))?.sha256).toBe(sha('c'));
      expect(await catalog.walFile(FAR, OTHER, name)).toBeUndefined();
    });
  });

  describe(`${what}: walFiles`, () => {
    it('streams in order of name, past the end of a page', async () => {
      const rows = Array.from({ length: 1203 }, (_, number) => segmentRow(number));
      await record(...rows.toReversed());
      expect(await names()).toEqual(rows.map(({ name }) => name));
    });

    it('goes on while files are forgotten and recorded', async () => {
      await record(...Array.from({ length: 600 }, (_, number) => segmentRow(number)));
      const seen: bigint[] = [];
      for await (const { name, segment } of catalog.walFiles(NEAR, MAIN)) {
        seen.push(segment ?? -1n);
        await catalog.forgetWalFile(NEAR, MAIN, name);
        if (segment === 10n) await record(segmentRow(601));
      }
      expect(seen).toEqual(Array.from({ length: 602 }, (_, number) => BigInt(number)).filter((n) => n !== 600n));
      expect(await names()).toEqual([]);
    });
  });

  describe(`${what}: walRanges`, () => {
    it('joins neighbours whatever order they come in and splits where one goes', async () => {
      await record(segmentRow(3), segmentRow(1), segmentRow(2), segmentRow(5), segmentRow(4));
      expect(await catalog.walRanges(NEAR, MAIN)).toEqual([{ timeline: 1, first: 1n, last: 5n, storedBytes: 5000 }]);
      await catalog.forgetWalFile(NEAR, MAIN, segmentRow(4).name);
      expect(await catalog.walRanges(NEAR, MAIN)).toEqual([
        { timeline: 1, first: 1n, last: 3n, storedBytes: 3000 },
        { timeline: 1, first: 5n, last: 5n, storedBytes: 1000 },
      ]);
    });

    it('does not join timelines and does not count other kinds', async () => {
      await record(
        segmentRow(1),
        segmentRow(2, { timeline: timeline(2) }),
        partialRow(2),
        historyRow(2, '1\t0/1\tx\n'),
      );
      await catalog.forgetWalFile(NEAR, MAIN, partialRow(2).name);
      expect(await catalog.walRanges(NEAR, MAIN)).toMatchObject([
        { timeline: 1, first: 1n, last: 1n },
        { timeline: 2, first: 2n, last: 2n },
      ]);
    });
  });

  describe(`${what}: timelineHistories`, () => {
    it('gives the texts in order of timeline', async () => {
      await record(historyRow(11, 'eleven'), segmentRow(1), historyRow(2, 'two'));
      expect((await catalog.timelineHistories(NEAR, MAIN)).map(({ history }) => history)).toEqual(['two', 'eleven']);
      expect(await catalog.timelineHistories(FAR, MAIN)).toEqual([]);
    });
  });

  describe(`${what}: commitBounds`, () => {
    it('finds the earliest and latest commit although they do not ascend strictly', async () => {
      await record(segmentRow(600, { index: index({ firstCommit: micros(90), lastCommit: micros(95) }) }));
      await record(segmentRow(601, { index: index({ firstCommit: micros(80), lastCommit: micros(85) }) }));
      await record(segmentRow(602, { index: index({}) }), partialRow(603));
      expect(await catalog.commitBounds(NEAR, MAIN, ALL)).toEqual({ first: micros(80), last: micros(95) });
      expect(await catalog.commitBounds(NEAR, MAIN, { ...ALL, from: 601n })).toEqual({
        first: micros(80),
        last: micros(85),
      });
      expect(await catalog.commitBounds(NEAR, MAIN, { ...ALL, from: 602n })).toEqual({
        first: undefined,
        last: undefined,
      });
      expect(await catalog.commitBounds(FAR, MAIN, ALL)).toEqual({ first: undefined, last: undefined });
    });
  });

  describe(`${what}: firstSegmentWithCommitAfter`, () => {
    it('tells later from not earlier', async () => {
      await record(segmentRow(1), segmentRow(2), segmentRow(3));
      const at = micros(2_000_000);
      expect(await catalog.firstSegmentWithCommitAfter(NEAR, MAIN, ALL, at, true)).toBe(2n);
      expect(await catalog.firstSegmentWithCommitAfter(NEAR, MAIN, ALL, at, false)).toBe(3n);
      expect(await catalog.firstSegmentWithCommitAfter(NEAR, MAIN, ALL, micros(3_000_000), false)).toBeUndefined();
      expect(await catalog.firstSegmentWithCommitAfter(NEAR, MAIN, { ...ALL, from: 3n }, micros(0), true)).toBe(3n);
    });
  });

  describe(`${what}: segmentsThatMayHoldXid`, () => {
    it('compares transaction ids in wrap-around order', async () => {
      await record(segmentRow(1, { index: index({ firstXid: 0xffff_ff00, lastXid: 0xffff_fff0 }) }));
      await record(segmentRow(2, { index: index({ firstXid: 0xffff_fff0, lastXid: 20 }) }));
      await record(segmentRow(3, { index: index({ firstXid: 15, lastXid: 30 }) }), segmentRow(4, { index: index({}) }));
      const of = (xid: number) => catalog.segmentsThatMayHoldXid(NEAR, MAIN, ALL, xid);
      expect(await of(0xffff_fff0)).toEqual([1n, 2n]);
      expect(await of(3)).toEqual([2n]);
      expect(await of(18)).toEqual([2n, 3n]);
      expect(await of(31)).toEqual([]);
    });
  });

  describe(`${what}: restorePoints`, () => {
    it('gives all of one name, ascending by position, of segments only', async () => {
      const point = (lsn: bigint): RestorePoint => ({ name: 'p', lsn: lsn as Lsn, time: micros(1) });
      await record(segmentRow(2, { timeline: timeline(2), index: index({ restorePoints: [point(1n << 63n)] }) }));
      await record(segmentRow(1, { index: index({ restorePoints: [point(5n), point(9n)] }) }));
      await record(partialRow(2, { index: index({ restorePoints: [point(7n)] }) }));
      expect(await catalog.restorePoints(NEAR, MAIN, 'p')).toEqual([
        { ...point(5n), timeline: 1 },
        { ...point(9n), timeline: 1 },
        { ...point(1n << 63n), timeline: 2 },
      ]);
      expect(await catalog.restorePoints(NEAR, MAIN, 'q')).toEqual([]);
    });

    it('forgets them with their segment', async () => {
      const point: RestorePoint = { name: 'p', lsn: 5n as Lsn, time: micros(1) };
      await record(segmentRow(1, { index: index({ restorePoints: [point] }) }));
      await catalog.forgetWalFile(NEAR, MAIN, segmentRow(1).name);
      expect(await catalog.restorePoints(NEAR, MAIN, 'p')).toEqual([]);
    });
  });

  describe(`${what}: lastArchived`, () => {
    it('is the newest by time of archiving, of any kind', async () => {
      expect(await catalog.lastArchived(NEAR, MAIN)).toBeUndefined();
      await record(segmentRow(5), { ...historyRow(2, 'x'), archivedAt: micros(9_000_000) }, segmentRow(6));
      expect((await catalog.lastArchived(NEAR, MAIN))?.kind).toBe('history');
    });
  });

  describe(`${what}: refusals`, () => {
    it('counts attempts, keeps the newest error and both moments, and is cleared', async () => {
      const error = (text: string) => errorToDocument(new WaldenError('SERVER_MISMATCH', text, { details: { a: 1 } }));
      const { name } = segmentRow(1);
      await catalog.recordRefusal(MAIN, name, error('first'), micros(1));
      await catalog.recordRefusal(MAIN, name, error('second'), micros(2));
      expect(await catalog.refusals(MAIN)).toEqual([
        { cluster: MAIN, name, error: error('second'), firstAt: micros(1), lastAt: micros(2), attempts: 2 },
      ]);
      expect(await catalog.refusals(OTHER)).toEqual([]);
      await catalog.clearRefusal(MAIN, name);
      expect(await catalog.refusals(MAIN)).toEqual([]);
    });
  });

  describe(`${what}: jobs`, () => {
    it('keeps a job from its start to its end, newest first', async () => {
      await catalog.createJob({ id: 'a', kind: 'backup', cluster: MAIN, startedAt: micros(1) });
      await catalog.createJob({ id: 'b', kind: 'catalog-rebuild', cluster: undefined, startedAt: micros(1) });
      await catalog.finishJob({ id: 'a', state: 'done', finishedAt: micros(3), error: undefined, result: { n: [1] } });
      expect((await catalog.jobs(10)).map(({ id }) => id)).toEqual(['b', 'a']);
      expect(await catalog.jobs(1)).toHaveLength(1);
      expect((await catalog.jobs(10, MAIN)).map(({ id }) => id)).toEqual(['a']);
      expect(await catalog.job('a')).toEqual({
        id: 'a',
        kind: 'backup',
        cluster: MAIN,
        state: 'done',
        startedAt: micros(1),
        finishedAt: micros(3),
        error: undefined,
        result: { n: [1] },
      });
      expect(await catalog.job('b')).toMatchObject({ state: 'running', result: undefined, finishedAt: undefined });
      expect(await catalog.job('c')).toBeUndefined();
    });

    it('forgets those that ended and began more than 400 days before a new one', async () => {
      await catalog.createJob({ id: 'over', kind: 'backup', cluster: MAIN, startedAt: micros(0) });
      await catalog.finishJob({ id: 'over', state: 'done', finishedAt: micros(1), error: undefined, result: {} });
      await catalog.createJob({ id: 'lasting', kind: 'backup', cluster: MAIN, startedAt: micros(0) });
      await catalog.createJob({ id: 'new', kind: 'backup', cluster: MAIN, startedAt: micros(401 * 86_400_000_000) });
      expect((await catalog.jobs(10)).map(({ id }) => id)).toEqual(['new', 'lasting']);
    });
  });

  describe(`${what}: events`, () => {
    const event = (offset: number, change: Partial<Omit<EventRecord, 'id'>> = {}): Omit<EventRecord, 'id'> => ({
      ...{ at: micros(offset), cluster: MAIN, kind: 'wal-gap', level: 'error', subject: 'a', message: 'm' },
      facts: { n: [offset] },
      ...change,
    });

    it('gives the newest, or those behind one, in the order of their recording', async () => {
      const recorded = [];
      for (const offset of [3, 1, 2]) recorded.push(await catalog.recordEvent(event(offset)));
      expect(recorded.map(({ at }) => at)).toEqual([micros(3), micros(1), micros(2)]);
      expect(await catalog.events({ limit: 10 })).toEqual(recorded);
      expect(await catalog.events({ limit: 2 })).toEqual(recorded.slice(1));
      expect(await catalog.events({ limit: 1, after: recorded[0]!.id })).toEqual([recorded[1]]);
      expect(await catalog.events({ limit: 10, since: micros(2) })).toEqual([recorded[0], recorded[2]]);
    });

    it('gives those of a cluster with those of the service, and of some kinds', async () => {
      await catalog.recordEvent(event(1));
      await catalog.recordEvent(event(2, { cluster: OTHER }));
      await catalog.recordEvent(event(3, { cluster: undefined, subject: undefined, kind: 'service-started' }));
      const moments = async (query: Omit<EventQuery, 'limit'>): Promise<readonly number[]> =>
        (await catalog.events({ ...query, limit: 10 })).map(({ at }) => at);
      expect(await moments({ cluster: MAIN })).toEqual([micros(1), micros(3)]);
      expect(await moments({ kinds: ['wal-gap'] })).toEqual([micros(1), micros(2)]);
      expect(await moments({ kinds: [] })).toEqual([]);
    });

    it('forgets what is older than 400 days when a new one comes', async () => {
      await catalog.recordEvent(event(0));
      await catalog.recordEvent(event(401 * 86_400_000_000));
      expect(await catalog.events({ limit: 10 })).toHaveLength(1);
    });
  });

  describe(`${what}: schedules`, () => {
    it('keeps how far each has come', async () => {
      const state = { name: 'nightly', definition: 'd', settled: micros(1), job: undefined, attempts: 0 };
      await catalog.recordSchedule({ ...state, name: 'weekly' });
      await catalog.recordSchedule(state);
      await catalog.recordSchedule({ ...state, job: 'j', attempts: 2, settled: micros(2) });
      expect(await catalog.schedules()).toEqual([
        { ...state, job: 'j', attempts: 2, settled: micros(2) },
        { ...state, name: 'weekly' },
      ]);
    });
  });

  backupsContract(what, () => catalog);
  nodesContract(what, () => catalog);
  proofContract(what, () => catalog);
  writersContract(what, () => catalog);
  retentionContract(what, () => catalog);

  describe(`${what}: reopening`, () => {
    it('finds every row again', async () => {
      await catalog.registerCluster(MAIN, IDENTITY);
      await record(segmentRow(1), segmentRow(2), historyRow(2, 'two'));
      await catalog.completeBackup(backupStart(), FACTS);
      await catalog.createJob({ id: 'a', kind: 'restore', cluster: MAIN, startedAt: micros(1) });
      const before = [await catalog.walRanges(NEAR, MAIN), await catalog.backups(MAIN), await catalog.jobs(5)];
      if (subject.reopen === undefined) return;
      catalog = await subject.reopen();
      expect([await catalog.walRanges(NEAR, MAIN), await catalog.backups(MAIN), await catalog.jobs(5)]).toEqual(before);
      expect(await catalog.clusters()).toEqual([MAIN]);
      expect(await names()).toHaveLength(3);
    });
  });
}
