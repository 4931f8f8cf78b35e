import { describe, expect, it } from 'vitest';
import type { BackupId, Catalog, RepositoryName } from '../../../catalog/catalog.ts';
import { copyBackup } from '../../../src/copy/copy-backup.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { ServiceInstance } from '../../../src/repository/backup-claim.ts';
import { backupRecordKey } from '../../../src/repository/keys.ts';
import { sameThreadPool } from '../../support/crash/same-thread-pool.ts';
import { type ChainStory, CLUSTER, RANGES, shortStory } from '../../support/chain-story.ts';
import { stubCatalog } from '../../support/stub-catalog.ts';

async function copy({ stores, rows }: ChainStory, id: BackupId): Promise<string> {
  const answers: Partial<Catalog> = { completeBackup: () => Promise.resolve() };
  const deps = {
    catalog: stubCatalog({ backups: rows, ranges: RANGES, answers }),
    pool: sameThreadPool(),
    clock: systemClock,
    instance: 'test' as ServiceInstance,
    stagingDirectory: '/nowhere',
  };
  const way = {
    from: { name: 'near' as RepositoryName, driver: stores.near },
    to: { name: 'far' as RepositoryName, driver: stores.far },
  };
  const place = { cluster: CLUSTER, identity: rows[0]!.facts!.identity };
  try {
    return await copyBackup(deps, place, way, id, { signal: new AbortController().signal });
  } catch (error) {
    return isWaldenError(error) ? `${error.code}: ${error.message}` : String(error);
  }
}

describe('copyBackup', () => {
  it('brings an incremental backup only where what it builds on is', async () => {
    const { story } = shortStory();
    story.stores.far.objects.clear();
    const [full, first, second] = story.ids;
    expect(await copy(story, second!)).toContain(`STORAGE_OBJECT_MISSING: backup ${second!} builds on ${first!}`);
    expect(story.stores.far.objects.has(backupRecordKey(CLUSTER, second!))).toBe(false);
    for (const id of [full, first, second]) expect(await copy(story, id!)).toBe('copied');
    expect([...story.stores.far.objects.keys()].filter((key) => key.endsWith('backup.json'))).toHaveLength(3);
  });
});
