import { describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { formatMicros } from '../../../src/postgres/timestamp.ts';
import { backupDocuments } from '../../../src/service/answers/backups.ts';
import { backupStart, BEGIN, FACTS, FAR, MAIN, micros, NEAR } from '../../support/catalog-rows.ts';

const KEPT = '20261122T021500F' as BackupId;
const OTHER = '20261123T021500F' as BackupId;
const SECOND = 1_000_000;

describe('the documents of backups', () => {
  it('say of complete ones until when they are kept at the longest, in whatever repository', async () => {
    const catalog = SqliteCatalog.open(':memory:');
    try {
      const [near, far, other] = [{ id: KEPT }, { repository: FAR, id: KEPT }, { id: OTHER }].map(backupStart);
      await catalog.openBackup([near!, far!]);
      await catalog.completeBackup(near!, FACTS);
      await catalog.failBackup(FAR, MAIN, KEPT, { code: 'STORAGE_FULL', message: 'full', hint: '', details: {} });
      await catalog.openBackup([other!]);
      await catalog.completeBackup(other!, FACTS);
      const hold = { cluster: MAIN, since: micros(0), reason: 'an audit' };
      await catalog.recordHold({ ...hold, repository: NEAR, backup: KEPT, until: micros(10 * SECOND) });
      await catalog.recordHold({ ...hold, repository: FAR, backup: KEPT, until: micros(20 * SECOND) });
      await catalog.recordHold({ ...hold, repository: NEAR, backup: OTHER, until: micros(SECOND) });
      const clock = { ...systemClock, now: () => new Date(BEGIN / 1000 + 5000) };
      const documentOf = await backupDocuments({ catalog, clock }, MAIN);
      const documents = (await catalog.backups(MAIN)).map(documentOf);
      expect(documents.map(({ repository, id, state, kept }) => [repository, id, state, kept]).sort()).toEqual([
        [FAR, KEPT, 'failed', undefined],
        [NEAR, KEPT, 'complete', { until: formatMicros(micros(20 * SECOND)), reason: 'an audit' }],
        [NEAR, OTHER, 'complete', undefined],
      ]);
    } finally {
      await catalog.close();
    }
  });
});
