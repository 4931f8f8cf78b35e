import type { RepositoryName } from '../../catalog/catalog.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';

/** An opened repository: a name from the configuration and the driver that reaches it. */
export interface Repository {
  readonly name: RepositoryName;
  readonly driver: StorageDriver;
}
