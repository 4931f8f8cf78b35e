import type { StorageDriver } from './driver.ts';

/** What a repository's section of the configuration says about its store. */
export interface DriverOptions {
  readonly driver: 'local';
  readonly path: string;
}

/**
 * Opens a store by its name in the configuration. Each driver is loaded only when it is used: some bring a large SDK.
 * `instance` tells the staged files of this service from another's; `create` makes a new store where there is none.
 */
export async function openDriver(
  options: DriverOptions,
  use: { readonly instance: string; readonly create: boolean },
): Promise<StorageDriver> {
  const { LocalDriver } = await import('./local/local-driver.ts');
  return await LocalDriver.open({ root: options.path, ...use });
}
