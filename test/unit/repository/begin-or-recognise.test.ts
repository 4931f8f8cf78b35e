import { beforeEach, describe, expect, it } from 'vitest';
import type { Catalog } from '../../../catalog/catalog.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { beginOrRecognise } from '../../../src/repository/begin-or-recognise.ts';
import { readRepositoryFile } from '../../../src/repository/repository-file.ts';
import { openTestCatalog } from '../../support/backup-stores.ts';
import { backupStart, NEAR } from '../../support/catalog-rows.ts';
import { GeneratedRepository } from '../../support/generated-repository.ts';

const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

describe('beginOrRecognise', () => {
  let catalog: Catalog;
  let repository: GeneratedRepository;
  const empty = { name: NEAR, driver: new MemoryDriver() };

  beforeEach(async () => {
    catalog = openTestCatalog();
    repository = new GeneratedRepository({ name: NEAR, driver: new MemoryDriver() }, catalog);
    await repository.begin();
  });

  it('begins a new repository', async () => {
    const fresh = { name: NEAR, driver: new MemoryDriver() };
    await beginOrRecognise(fresh, catalog);
    expect(await readRepositoryFile(fresh)).toEqual({ format: 1 });
  });

  it('recognises the repository whose objects the catalog knows', async () => {
    await beginOrRecognise(repository.repository, catalog);
    await repository.addSegments(1, [1]);
    await beginOrRecognise(repository.repository, catalog);
  });

  it('refuses an empty one where the catalog knows WAL, and stores nothing', async () => {
    await repository.addSegments(1, [1]);
    await expect(beginOrRecognise(empty, catalog)).rejects.toMatchObject(UNAVAILABLE);
    expect(await readRepositoryFile(empty)).toBeUndefined();
  });

  it('refuses an empty one where the catalog knows a backup', async () => {
    await catalog.openBackup([backupStart({ repository: NEAR })]);
    await expect(beginOrRecognise(empty, catalog)).rejects.toMatchObject(UNAVAILABLE);
  });
});
