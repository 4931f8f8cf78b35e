import { isWaldenError, type WaldenError } from '../errors.ts';
import type { RepositoryName } from '../../catalog/catalog.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { StoreHealth } from './store-health.ts';

/** An opened repository: a name from the configuration and the driver that reaches it. */
export interface Repository {
  readonly name: RepositoryName;
  readonly driver: StorageDriver;
  /** What its store has shown so far; undefined where nobody watches. */
  readonly health?: StoreHealth;
}

/** The store cannot be asked, or nothing in it can be read: that may pass, and concerns no other repository. */
export function isAway(error: unknown): error is WaldenError {
  return isWaldenError(error, 'STORAGE_UNAVAILABLE', 'STORAGE_DENIED', 'KEY_MISSING', 'KEY_REFUSED', 'CONFIG_INVALID');
}

/** Whom to ask first: the healthy before the failing, the near before the far, else in the given order. */
export function byPreference(repositories: readonly Repository[]): readonly Repository[] {
  const rank = ({ health }: Repository): number =>
    health === undefined ? 0 : health.nearness + (health.failure === undefined ? 0 : 100);
  return [...repositories].sort((a, b) => rank(a) - rank(b));
}

/** Where a file for all of them is best staged: on the file system of one that can link it, if there is one. */
export function placeToStage(repositories: readonly Repository[]): string | undefined {
  return repositories.map(({ driver }) => driver.features.stagingDirectory).find((place) => place !== undefined);
}
