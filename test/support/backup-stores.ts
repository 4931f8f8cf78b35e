import type { Catalog } from '../../catalog/catalog.ts';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { repositoryName } from '../../src/repository/names.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { newDirectory } from './sandbox.ts';

export interface TestRepository extends Repository {
  readonly path: string;
}

/** A repository in a directory of its own. */
export async function openTestRepository(name: string): Promise<TestRepository> {
  const path = newDirectory('repository-');
  const driver = await LocalDriver.open({ root: path, instance: 'test', access: 'read-write' });
  return { name: repositoryName(name), path, driver };
}

/** A catalog in memory. */
export function openTestCatalog(): Catalog {
  return SqliteCatalog.open(':memory:');
}
