import type { StorageDriver } from './driver.ts';

/** What a repository's section of the configuration says about its store. */
export interface DriverOptions {
  readonly driver: 'local';
  readonly path: string;
}

export type StoreAccess = 'read-only' | 'read-write';

/**
 * Opens a store by its name in the configuration. Each driver is loaded only when it is used: some bring a large SDK.
 * `instance` tells the staged files of this service from another's; for writing, a new store is made where there is none.
 */
export async function openDriver(
  options: DriverOptions,
  use: { readonly instance: string; readonly access: StoreAccess },
): Promise<StorageDriver> {
  const { LocalDriver } = await import('./local/local-driver.ts');
  return await LocalDriver.open({ root: options.path, ...use });
}
