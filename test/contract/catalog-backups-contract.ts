import { describe, expect, it } from 'vitest';
import type { BackupId, Catalog, ClusterName } from '../../catalog/catalog.ts';
import { errorToDocument, WaldenError } from '../../src/errors.ts';
import { backupStart, FACTS, FAR, MAIN, micros, NEAR } from '../support/catalog-rows.ts';

const FIRST = '20261122T021500F' as BackupId;
const SECOND = '20261123T021500I' as BackupId;
const ERROR = errorToDocument(new WaldenError('INTERRUPTED', 'the service ended'));

/** The part of the contract that is about backups. */
export function backupsContract(what: string, current: () => Catalog): void {
  describe(`${what}: openBackup`, () => {
    it('opens one backup in several repositories', async () => {
      await current().openBackup([backupStart(), backupStart({ repository: FAR })]);
      expect(await current().backups(MAIN)).toEqual([
        { ...backupStart({ repository: FAR }), state: 'running', facts: undefined, error: undefined },
        { ...backupStart(), state: 'running', facts: undefined, error: undefined },
      ]);
    });

    it('names the backup that runs, and since when, to the one that comes second', async () => {
      await current().openBackup([backupStart()]);
      const second = current().openBackup([backupStart({ id: SECOND, repository: FAR })]);
      await expect(second).rejects.toMatchObject({ code: 'LOCK_HELD', details: { backup: FIRST } });
      await expect(second).rejects.toThrow('2027-01-15 08:00:00 UTC');
      expect(await current().backups(MAIN)).toHaveLength(1);
    });

    it('opens none at all where one of them cannot be', async () => {
      await current().openBackup([backupStart({ repository: FAR })]);
      await current().failBackup(FAR, MAIN, FIRST, ERROR);
      await expect(current().openBackup([backupStart(), backupStart({ repository: FAR })])).rejects.toMatchObject({
        code: 'LOCK_HELD',
      });
      expect(await current().backups(MAIN)).toHaveLength(1);
    });

    it('is held until the last repository is done', async () => {
      await current().openBackup([backupStart(), backupStart({ repository: FAR })]);
      await current().completeBackup(backupStart(), FACTS);
      await expect(current().openBackup([backupStart({ id: SECOND })])).rejects.toMatchObject({ code: 'LOCK_HELD' });
      await current().failBackup(FAR, MAIN, FIRST, ERROR);
      await current().openBackup([backupStart({ id: SECOND })]);
    });

    it('does not hold up another cluster', async () => {
      await current().openBackup([backupStart()]);
      await current().openBackup([backupStart({ cluster: 'other' as ClusterName, id: SECOND })]);
      expect(await current().backups('other' as ClusterName)).toHaveLength(1);
    });
  });

  describe(`${what}: completeBackup`, () => {
    it('keeps every fact, of a backup that was open and of one that was not known', async () => {
      await current().openBackup([backupStart()]);
      const label = { label: 'as it stands in backup.json', startedAt: micros(1) };
      await current().completeBackup(backupStart(label), FACTS);
      await current().completeBackup(backupStart({ id: SECOND }), { ...FACTS, checksumsVerified: false });
      expect(await current().backups(MAIN)).toEqual([
        { ...backupStart(label), state: 'complete', facts: FACTS, error: undefined },
        {
          ...backupStart({ id: SECOND }),
          state: 'complete',
          facts: { ...FACTS, checksumsVerified: false },
          error: undefined,
        },
      ]);
    });

    it('turns a failed one into a complete one, and not one that is being removed', async () => {
      await current().openBackup([backupStart()]);
      await current().failBackup(NEAR, MAIN, FIRST, ERROR);
      await current().completeBackup(backupStart(), FACTS);
      expect(await current().backups(MAIN)).toMatchObject([{ state: 'complete', error: undefined }]);
      await current().markRemoving(NEAR, MAIN, FIRST);
      await expect(current().completeBackup(backupStart(), FACTS)).rejects.toMatchObject({ code: 'INTERNAL' });
      expect(await current().backups(MAIN)).toMatchObject([{ state: 'removing', facts: FACTS }]);
    });
  });

  describe(`${what}: an incremental backup`, () => {
    const child = { ...FACTS, parent: FIRST };

    it('keeps its parent', async () => {
      await current().completeBackup(backupStart({ id: SECOND }), child);
      expect(await current().backups(MAIN)).toMatchObject([{ id: SECOND, facts: { parent: FIRST } }]);
    });

    it('keeps the one that it builds on from being removed, in its own repository', async () => {
      for (const repository of [NEAR, FAR]) await current().completeBackup(backupStart({ repository }), FACTS);
      await current().completeBackup(backupStart({ id: SECOND }), child);
      await expect(current().markRemoving(NEAR, MAIN, FIRST)).rejects.toMatchObject({ code: 'INTERNAL' });
      await current().markRemoving(FAR, MAIN, FIRST);
      await current().markRemoving(NEAR, MAIN, SECOND);
      await current().markRemoving(NEAR, MAIN, FIRST);
      expect((await current().backups(MAIN)).map(({ state }) => state)).toEqual(['removing', 'removing', 'removing']);
    });
  });

  describe(`${what}: failBackup`, () => {
    it('keeps the error, and does not touch a complete backup', async () => {
      await current().openBackup([backupStart()]);
      await current().failBackup(NEAR, MAIN, FIRST, ERROR);
      expect(await current().backups(MAIN)).toMatchObject([{ state: 'failed', error: ERROR, facts: undefined }]);
      await current().completeBackup(backupStart({ id: SECOND }), FACTS);
      await expect(current().failBackup(NEAR, MAIN, SECOND, ERROR)).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(current().failBackup(FAR, MAIN, SECOND, ERROR)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  describe(`${what}: forgetBackup`, () => {
    it('forgets it in one repository, and what is not there too', async () => {
      await current().completeBackup(backupStart(), FACTS);
      await current().completeBackup(backupStart({ repository: FAR }), FACTS);
      await current().markRemoving(NEAR, MAIN, FIRST);
      await current().forgetBackup(NEAR, MAIN, FIRST);
      await current().forgetBackup(NEAR, MAIN, FIRST);
      expect(await current().backups(MAIN)).toMatchObject([{ repository: FAR }]);
    });
  });
}
