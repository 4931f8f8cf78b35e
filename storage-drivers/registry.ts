import { WaldenError } from '../src/errors.ts';
import type { AzureOptions } from './azure/azure-options.ts';
import type { StorageDriver } from './driver.ts';
import type { GcsOptions } from './gcs/gcs-options.ts';
import type { S3Options } from './s3/s3-options.ts';
import type { SftpOptions } from './sftp/sftp-options.ts';

/** What a repository's section of the configuration says about its store. */
export type DriverOptions =
  | { readonly driver: 'local'; readonly path: string }
  | ({ readonly driver: 's3' } & S3Options)
  | ({ readonly driver: 'azure' } & AzureOptions)
  | ({ readonly driver: 'gcs' } & GcsOptions)
  | ({ readonly driver: 'sftp' } & SftpOptions);

export type StoreAccess = 'read-only' | 'read-write';

export interface StoreUse {
  /** Tells the staged files of this service from another's. */
  readonly instance: string;
  /** For writing, a new store is made where there is none. */
  readonly access: StoreAccess;
  /** By the store's clock: it is read as it was then. */
  readonly asOf?: Date | undefined;
}

/**
 * Opens a store by its name in the configuration. Each driver is loaded only when it is used: some bring a large SDK.
 * @throws USAGE where a store cannot be read as of a moment, and what the drivers throw
 */
export async function openDriver(options: DriverOptions, { asOf, ...use }: StoreUse): Promise<StorageDriver> {
  if (asOf !== undefined) return await openAsOf(options, asOf);
  switch (options.driver) {
    case 'local': {
      const { LocalDriver } = await import('./local/local-driver.ts');
      return await LocalDriver.open({ root: options.path, ...use });
    }
    case 's3': {
      const { S3Driver } = await import('./s3/s3-driver.ts');
      return await S3Driver.open(options, use);
    }
    case 'azure': {
      const { AzureDriver } = await import('./azure/azure-driver.ts');
      return await AzureDriver.open(options, use);
    }
    case 'gcs': {
      const { GcsDriver } = await import('./gcs/gcs-driver.ts');
      return await GcsDriver.open(options, use);
    }
    case 'sftp': {
      const { SftpDriver } = await import('./sftp/sftp-driver.ts');
      return await SftpDriver.open(options, use);
    }
  }
}

async function openAsOf(options: DriverOptions, asOf: Date): Promise<StorageDriver> {
  if (options.driver !== 's3') {
    throw new WaldenError('USAGE', `a repository on ${options.driver} cannot be read as it was at a moment`, {
      hint: 'leave --as-of out: only S3 can do that, in a bucket that keeps versions',
    });
  }
  const { S3AsOfDriver } = await import('./s3/s3-as-of-driver.ts');
  return await S3AsOfDriver.open(options, { asOf });
}
