import { describe, expect, it } from 'vitest';
import type { BackupId, Catalog, ClusterName, ExpiredArchive, HoldRecord } from '../../catalog/catalog.ts';
import { backupStart, FACTS, FAR, MAIN, micros, NEAR, timeline } from '../support/catalog-rows.ts';

const FIRST = '20261122T021500F' as BackupId;
const SECOND = '20261123T021500F' as BackupId;
const OTHER = 'other' as ClusterName;

const HOLD: HoldRecord = {
  ...{ repository: NEAR, cluster: MAIN, backup: FIRST, since: micros(1), until: micros(5), reason: 'an audit' },
};
const EXPIRED: ExpiredArchive = {
  backups: [FIRST, SECOND],
  wal: [
    { timeline: timeline(1), first: 1n, last: 9n },
    { timeline: timeline(1), first: 12n, last: 0xfff_ffff_ffffn },
    { timeline: timeline(2), first: 3n, last: 3n },
  ],
};

/** The part of the contract that is about retention. */
export function retentionContract(what: string, current: () => Catalog): void {
  describe(`${what}: holds`, () => {
    it('gives them back in order, the newest of each backup and repository', async () => {
      const open = { ...HOLD, backup: SECOND, until: undefined, reason: undefined };
      await current().recordHold(open);
      await current().recordHold({ ...HOLD, repository: FAR, reason: 'before' });
      await current().recordHold({ ...HOLD, repository: FAR });
      await current().recordHold(HOLD);
      await current().recordHold({ ...HOLD, cluster: OTHER });
      expect(await current().holds(MAIN)).toEqual([{ ...HOLD, repository: FAR }, HOLD, open]);
    });

    it('forgets one, and one that is not there', async () => {
      await current().recordHold(HOLD);
      await current().forgetHold(FAR, MAIN, FIRST);
      expect(await current().holds(MAIN)).toEqual([HOLD]);
      await current().forgetHold(NEAR, MAIN, FIRST);
      expect(await current().holds(MAIN)).toEqual([]);
    });
  });

  describe(`${what}: what retention removed`, () => {
    it('is nothing at first, and then what was recorded last, of each archive by itself', async () => {
      expect(await current().expired(NEAR, MAIN)).toEqual({ backups: [], wal: [] });
      await current().recordExpired(NEAR, MAIN, { backups: [SECOND], wal: EXPIRED.wal.slice(2) });
      await current().recordExpired(NEAR, MAIN, EXPIRED);
      expect(await current().expired(NEAR, MAIN)).toEqual(EXPIRED);
      expect(await current().expired(FAR, MAIN)).toEqual({ backups: [], wal: [] });
      await current().recordExpired(NEAR, MAIN, { backups: [], wal: [] });
      expect(await current().expired(NEAR, MAIN)).toEqual({ backups: [], wal: [] });
    });
  });

  describe(`${what}: cancelRemoval`, () => {
    it('makes a backup complete again that was about to be removed, and no other', async () => {
      await current().completeBackup(backupStart(), FACTS);
      await expect(current().cancelRemoval(NEAR, MAIN, FIRST)).rejects.toMatchObject({ code: 'INTERNAL' });
      await current().markRemoving(NEAR, MAIN, FIRST);
      await current().cancelRemoval(NEAR, MAIN, FIRST);
      expect(await current().backups(MAIN)).toMatchObject([{ state: 'complete', facts: FACTS }]);
      await current().openBackup([backupStart({ id: SECOND })]);
      await current().markRemoving(NEAR, MAIN, SECOND);
      await expect(current().cancelRemoval(NEAR, MAIN, SECOND)).rejects.toMatchObject({ code: 'INTERNAL' });
    });
  });
}
