import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { RepositoryFiller } from '../../../src/copy/filler.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { ServiceInstance } from '../../../src/repository/backup-claim.ts';
import { ensureClusterFile } from '../../../src/repository/cluster-file.ts';
import { packKey } from '../../../src/repository/keys.ts';
import type { ObjectKey } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { FAR, IDENTITY, MAIN, NEAR } from '../../support/catalog-rows.ts';
import { sameThreadPool } from '../../support/crash/same-thread-pool.ts';
import { GeneratedRepository } from '../../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';
import { until } from '../../support/until.ts';

const [FIRST, SECOND, THIRD] = ['20261122T021500F', '20261123T021500F', '20261124T021500F'] as BackupId[] as [
  BackupId,
  BackupId,
  BackupId,
];

describe('filling a repository in the background', () => {
  let staging: string;
  let catalog: SqliteCatalog;
  let near: GeneratedRepository;
  let filler: RepositoryFiller;
  const warnings: string[] = [];

  /** One backup is there already; the source has two more, and WAL for all. */
  beforeEach(async () => {
    staging = newDirectory('staging');
    warnings.length = 0;
    catalog = SqliteCatalog.open(':memory:');
    near = new GeneratedRepository({ name: NEAR, driver: new MemoryDriver() }, catalog);
    const target = new GeneratedRepository({ name: FAR, driver: new MemoryDriver() }, catalog);
    await near.begin();
    await near.addSegments(1, [1, 2, 3, 4, 5, 6]);
    await near.addWholeBackup(FIRST, 1, 2);
    await target.addWholeBackup(FIRST, 1, 2);
    await near.addWholeBackup(SECOND, 3, 4);
    await near.addWholeBackup(THIRD, 5, 6);
    const log = { info: () => undefined, warn: (_facts: unknown, message: string) => warnings.push(message) };
    const recognise = async (): Promise<typeof IDENTITY> => {
      await ensureClusterFile(target.repository, MAIN, IDENTITY);
      return IDENTITY;
    };
    const instance = 'test' as ServiceInstance;
    filler = new RepositoryFiller(
      { catalog, pool: sameThreadPool(), clock: systemClock, instance, log, recognise, stagingDirectory: staging },
      { catalog, cluster: MAIN, target: target.repository, sources: [near.repository] },
    );
  });
  afterEach(async () => {
    await filler.stop();
    await catalog.close();
    removeDirectory(staging);
  });

  async function heldBackups(): Promise<readonly BackupId[]> {
    const rows = await catalog.backups(MAIN);
    return rows.filter(({ repository, state }) => repository === FAR && state === 'complete').map(({ id }) => id);
  }

  it('brings WAL and backups, and says that nothing is left', async () => {
    expect(await filler.lag()).toMatchObject({ walFiles: 6, backups: 2 });
    filler.start();
    await until(async () => (await heldBackups()).length === 3, { what: 'all backups' });
    expect(await filler.lag()).toEqual({ walFiles: 0, oldestAt: undefined, backups: 0 });
    await until(() => filler.failure === undefined, { what: 'an end of trouble' });
    expect(warnings).toEqual([]);
  });

  it('goes on behind a backup that is damaged wherever it is, and tells of it', async () => {
    await near.put(packKey(MAIN, SECOND, 1), Buffer.from(`pack 1 of ${SECOND.toLowerCase()}`));
    filler.start();
    await until(async () => (await heldBackups()).includes(THIRD), { what: 'the backup behind it' });
    await until(() => filler.failure, { what: 'the trouble to be told' });
    expect(await heldBackups()).toEqual([FIRST, THIRD]);
    expect(warnings).toEqual([expect.stringContaining(`repository ${FAR} is not filled`)]);
  });

  it('goes on behind a WAL file that is damaged wherever it is, without the backup that needs it', async () => {
    const key = 'main/wal/00000001/00000000/000000010000000000000003.zst' as ObjectKey;
    await near.put(key, Buffer.from('garbage'));
    filler.start();
    await until(async () => (await heldBackups()).includes(THIRD), { what: 'the backup behind it' });
    expect(await heldBackups()).toEqual([FIRST, THIRD]);
    expect(await catalog.walRanges(FAR, MAIN)).toMatchObject([
      { first: 1n, last: 2n },
      { first: 4n, last: 6n },
    ]);
    expect(filler.failure?.error.code).toBe('FORMAT_INVALID');
  });
});
