import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId, Catalog, ClusterName } from '../../catalog/catalog.ts';
import type { DamagedObject, DrillRecord, VerifiedRow } from '../../catalog/proof.ts';
import { errorToDocument, WaldenError } from '../../src/errors.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { backupStart, FACTS, FAR, MAIN, micros, NEAR, segmentRow, timeline } from '../support/catalog-rows.ts';

const BACKUP = '20261122T021500F' as BackupId;
const WAL: VerifiedRow = { kind: 'wal', timeline: timeline(1) };
const PACKS: VerifiedRow = { kind: 'backup', backup: BACKUP };
const BROKEN = errorToDocument(new WaldenError('CHECKSUM_MISMATCH', 'not what was stored'));

function mark(facts: Partial<DamagedObject> = {}): DamagedObject {
  const key = 'main/base/20261122T021500F/data/00001.tar.zst' as ObjectKey;
  const part = { kind: 'backup', backup: BACKUP } as const;
  return { repository: NEAR, cluster: MAIN, key, part, error: BROKEN, foundAt: micros(0), ...facts };
}

function drill(facts: Partial<DrillRecord> = {}): DrillRecord {
  return {
    ...{ id: 'one', cluster: MAIN, startedAt: micros(0), finishedAt: micros(9), outcome: 'passed', target: 'latest' },
    source: { repository: NEAR, backup: BACKUP },
    restore: { files: 3, bytes: 4096, seconds: 0.5 },
    recovery: { walBytes: 16_777_216, seconds: 1.25 },
    reached: { timeline: timeline(2), lsn: 0xffff_ffff_0000_0001n as Lsn, lastCommit: micros(4) },
    checks: [{ name: 'amcheck', outcome: 'passed', detail: '100 indexes' }],
    error: undefined,
    ...facts,
  };
}

/** The part of the contract that is about proof. */
export function proofContract(what: string, current: () => Catalog): void {
  const spans = () => current().proof.verifiedSpans(NEAR, MAIN);

  describe(`${what}: recordVerified`, () => {
    it('keeps one row for what was verified at one moment, and of two moments the later', async () => {
      const { proof } = current();
      await proof.recordVerified(NEAR, MAIN, { row: WAL, first: 0n, last: 63n, verifiedAt: micros(1) });
      await proof.recordVerified(NEAR, MAIN, { row: WAL, first: 64n, last: 99n, verifiedAt: micros(1) });
      expect(await spans()).toEqual([{ row: WAL, first: 0n, last: 99n, verifiedAt: micros(1) }]);
      await proof.recordVerified(NEAR, MAIN, { row: WAL, first: 10n, last: 19n, verifiedAt: micros(2) });
      expect(await spans()).toEqual([
        { row: WAL, first: 0n, last: 9n, verifiedAt: micros(1) },
        { row: WAL, first: 10n, last: 19n, verifiedAt: micros(2) },
        { row: WAL, first: 20n, last: 99n, verifiedAt: micros(1) },
      ]);
    });

    it('tells rows and repositories apart, and what is known from what was verified', async () => {
      const { proof } = current();
      await proof.recordVerified(NEAR, MAIN, { row: PACKS, first: 0n, last: 3n, verifiedAt: undefined });
      await proof.recordVerified(FAR, MAIN, { row: PACKS, first: 0n, last: 3n, verifiedAt: micros(5) });
      await proof.recordVerified(NEAR, MAIN, { row: WAL, first: 0n, last: 0n, verifiedAt: micros(5) });
      expect(await spans()).toEqual([
        { row: WAL, first: 0n, last: 0n, verifiedAt: micros(5) },
        { row: PACKS, first: 0n, last: 3n, verifiedAt: undefined },
      ]);
    });

    it('knows of each object the last moment, however the spans fall', async () => {
      const span = fc.record({ first: fc.integer({ min: 0, max: 40 }), count: fc.integer({ min: 1, max: 20 }) });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(span, { maxLength: 12 }), async (written) => {
          const row: VerifiedRow = { kind: 'wal', timeline: timeline((run += 1)) };
          const last = new Map<number, number>();
          for (const [at, { first, count }] of written.entries()) {
            const verifiedAt = Math.floor(at / 3) as Micros;
            const to = first + count - 1;
            await current().proof.recordVerified(NEAR, MAIN, {
              row,
              first: BigInt(first),
              last: BigInt(to),
              verifiedAt,
            });
            for (let object = first; object <= to; object += 1) last.set(object, verifiedAt);
          }
          const own = (await spans()).filter((one) => one.row.kind === 'wal' && one.row.timeline === row.timeline);
          const found = new Map<number, number>();
          for (const { first, last: to, verifiedAt } of own) {
            for (let object = first; object <= to; object += 1n) found.set(Number(object), verifiedAt ?? -1);
          }
          expect(found).toEqual(new Map([...last].sort(([a], [b]) => a - b)));
          // Neighbours differ: what is of one moment is one row.
          for (const [index, { first, verifiedAt }] of own.entries()) {
            const before = own[index - 1];
            if (before?.last === first - 1n) expect(before.verifiedAt).not.toBe(verifiedAt);
          }
        }),
        { numRuns: 30 },
      );
    });
  });

  describe(`${what}: what is gone`, () => {
    it('is verified and damaged no more', async () => {
      const catalog = current();
      const row = segmentRow(5);
      await catalog.recordWalFile(row);
      await catalog.completeBackup(backupStart(), FACTS);
      await catalog.proof.recordVerified(NEAR, MAIN, { row: WAL, first: 0n, last: 9n, verifiedAt: micros(1) });
      await catalog.proof.recordVerified(NEAR, MAIN, { row: PACKS, first: 0n, last: 9n, verifiedAt: micros(1) });
      await catalog.proof.markDamaged(mark());
      await catalog.proof.markDamaged(mark({ key: row.key, part: { kind: 'wal', name: row.name } }));
      await catalog.forgetWalFile(NEAR, MAIN, row.name);
      await catalog.markRemoving(NEAR, MAIN, BACKUP);
      await catalog.forgetBackup(NEAR, MAIN, BACKUP);
      expect(await catalog.proof.damagedObjects(MAIN)).toEqual([]);
      expect(await spans()).toEqual([
        { row: WAL, first: 0n, last: 4n, verifiedAt: micros(1) },
        { row: WAL, first: 6n, last: 9n, verifiedAt: micros(1) },
      ]);
    });
  });

  describe(`${what}: markDamaged`, () => {
    it('keeps when it was found first, and the last reason, until it is right again', async () => {
      const { proof } = current();
      expect(await proof.markDamaged(mark())).toBe(true);
      const missing = errorToDocument(new WaldenError('STORAGE_OBJECT_MISSING', 'gone'));
      expect(await proof.markDamaged(mark({ foundAt: micros(7), error: missing }))).toBe(false);
      await proof.markDamaged(mark({ repository: FAR, foundAt: micros(8) }));
      await proof.markDamaged(mark({ cluster: 'other' as ClusterName }));
      expect(await proof.damagedObjects(MAIN)).toEqual([
        mark({ repository: FAR, foundAt: micros(8) }),
        mark({ error: missing }),
      ]);
      expect(await proof.unmarkDamaged(NEAR, MAIN, mark().key)).toBe(true);
      expect(await proof.unmarkDamaged(NEAR, MAIN, mark().key)).toBe(false);
      expect(await proof.damagedObjects(MAIN)).toHaveLength(1);
    });
  });

  describe(`${what}: recordDrill`, () => {
    it('keeps every fact, also of one that came to nothing, and tells the newest first', async () => {
      const { proof } = current();
      const none = { source: undefined, restore: undefined, recovery: undefined, reached: undefined, checks: [] };
      const failed = drill({ ...none, id: 'two', outcome: 'failed', startedAt: micros(1), error: BROKEN });
      const quiet = drill({
        id: 'three',
        startedAt: micros(2),
        reached: { ...drill().reached!, lastCommit: undefined },
      });
      for (const record of [drill(), failed, quiet, drill({ id: 'four', cluster: 'other' as ClusterName })]) {
        await proof.recordDrill(record);
      }
      expect(await proof.drills(MAIN, 10)).toEqual([quiet, failed, drill()]);
      expect(await proof.drills(MAIN, 1)).toEqual([quiet]);
    });
  });
}
