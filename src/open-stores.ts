import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Catalog, RepositoryName } from '../catalog/catalog.ts';
import type { KeyRing } from '../storage-drivers/age/key-ring.ts';
import type { RewrapOutcome, RewrapSettings } from '../storage-drivers/age/rewrap.ts';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import { driverInUse } from '../storage-drivers/in-use.ts';
import { DriverOnDemand } from '../storage-drivers/on-demand.ts';
import { type DriverOptions, openDriver, type StoreAccess, type StoreUse } from '../storage-drivers/registry.ts';
import type { AllowedAccess } from '../storage-drivers/with-access.ts';
import type { EncryptionSettings } from '../storage-drivers/with-encryption.ts';
import { driverWithObserver, type ObservedCall } from '../storage-drivers/with-observer.ts';
import type { Config, RepositoryConfig } from './config/config.ts';
import { errorToDocument, isWaldenError, toWaldenError, WaldenError } from './errors.ts';
import type { WorkerPool } from './platform/worker-pool.ts';
import { beginOrRecognise } from './repository/begin-or-recognise.ts';
import type { Repository } from './repository/repository.ts';
import { StoreHealth } from './repository/store-health.ts';
import type { ServiceLog } from './service/deps.ts';

/** The only place that names concrete drivers, and says what is put around them. */

export interface ConfiguredStoreUse {
  readonly access: StoreAccess;
  readonly asOf?: Date | undefined;
  readonly observe?: ((call: ObservedCall) => void) | undefined;
}

/** One repository of the configuration, for commands that work beside the service. @throws NOT_FOUND, USAGE (as of a moment) */
export async function openConfiguredStore(
  config: Config,
  name: string,
  { observe, ...use }: ConfiguredStoreUse,
): Promise<StorageDriver> {
  const options = repositoryOf(config, name);
  const encryption = await encryptionOf(options, config);
  return await openStore(options, { instance: 'command', ...use, encryption }, observe);
}

/** The keys of one repository of the configuration. @throws NOT_FOUND, CONFIG_INVALID (it has none) */
export async function openKeyRing(config: Config, name: string): Promise<KeyRing> {
  const options = repositoryOf(config, name);
  const keys = await keyRingOf(options);
  if (keys !== undefined) return keys;
  throw new WaldenError('CONFIG_INVALID', `repository ${name} is not encrypted: it has no key_directory`, {
    hint: `for a new repository, name one in [repository.${name}]; docs/encryption.md shows it`,
  });
}

/**
 * A repository in a directory, for reading, without a configuration. `keyFiles`: the keys that open it; none: it is not
 * encrypted. @throws KEY_REFUSED
 */
export async function openDirectory(
  path: string,
  { instance, keyFiles }: { readonly instance: string; readonly keyFiles: readonly string[] },
): Promise<StorageDriver> {
  const encryption = keyFiles.length === 0 ? undefined : await encryptionByFiles(keyFiles);
  return await openStore({ driver: 'local', path }, { instance, access: 'read-only', encryption });
}

async function encryptionByFiles(keyFiles: readonly string[]): Promise<EncryptionSettings> {
  const { KeyFiles } = await import('../storage-drivers/age/key-files.ts');
  const { encryptFile } = await import('../storage-drivers/encrypt-file.ts');
  return {
    keys: await KeyFiles.read(keyFiles),
    // Nothing is stored.
    stagingDirectory: tmpdir(),
    encryptFile: (input) => Promise.resolve(encryptFile(input)),
  };
}

function repositoryOf(config: Config, name: string): RepositoryConfig {
  const options = [...config.repositories.values()].find((repository) => repository.name === name);
  if (options !== undefined) return options;
  throw new WaldenError('NOT_FOUND', `there is no repository ${JSON.stringify(name)}`, {
    hint: `the configuration has: ${[...config.repositories.keys()].join(', ')}`,
  });
}

/** The library behind it is loaded only where it is used. */
async function keyRingOf({ name, keyDirectory, recipients }: RepositoryConfig): Promise<KeyRing | undefined> {
  if (keyDirectory === undefined) return undefined;
  const { KeyRing } = await import('../storage-drivers/age/key-ring.ts');
  return new KeyRing({ keyDirectory, recipients: recipients ?? [], repository: name });
}

/**
 * Has every object of an encrypted repository opened by its current key: see rewrapObjects.
 * @throws STORAGE_DENIED when it is not opened for everything here, and as rewrapObjects
 */
export async function rewrapRepository(
  config: Config,
  name: string,
  { keys, ...controls }: Omit<RewrapSettings, 'stagingDirectory'>,
): Promise<RewrapOutcome> {
  assertReplaceable(config, name);
  const { rewrapObjects } = await import('../storage-drivers/age/rewrap.ts');
  const store = await openStore(repositoryOf(config, name), { instance: 'command', access: 'read-write' });
  try {
    const stagingDirectory = join(config.service.stateDirectory, 'staging');
    return await rewrapObjects(store, { keys, stagingDirectory, ...controls });
  } finally {
    await store.close();
  }
}

/** @throws STORAGE_DENIED */
export function assertReplaceable(config: Config, name: string): void {
  const { access = 'read-write' } = repositoryOf(config, name);
  if (access === 'read-write') return;
  throw new WaldenError('STORAGE_DENIED', `unable to give objects new headers: repository ${name} is ${access} here`, {
    hint: 'run it where the repository has access = "read-write", with credentials that may replace objects',
  });
}

/** What stands in a repository that is encrypted; without a pool this thread does the work. */
async function encryptionOf(
  options: RepositoryConfig,
  config: Config,
  pool?: WorkerPool,
): Promise<EncryptionSettings | undefined> {
  const keys = await keyRingOf(options);
  if (keys === undefined) return undefined;
  const { encryptFile, encryptFileTask } = await import('../storage-drivers/encrypt-file.ts');
  return {
    keys,
    stagingDirectory: join(config.service.stateDirectory, 'staging'),
    encryptFile: (input) =>
      pool === undefined ? Promise.resolve(encryptFile(input)) : pool.run(encryptFileTask, input),
  };
}

/** What a repository's section says besides what its driver wants to know. */
interface StoreLimits {
  readonly access?: AllowedAccess | undefined;
  readonly uploadLimit?: number | undefined;
  readonly downloadLimit?: number | undefined;
}

/** One store in all its wrappers. */
export async function openStore(
  options: DriverOptions & StoreLimits,
  { encryption, ...use }: StoreUse & { readonly encryption?: EncryptionSettings | undefined },
  observe?: (call: ObservedCall) => void,
): Promise<StorageDriver> {
  const { access: allowed = 'read-write', uploadLimit, downloadLimit } = options;
  const access = allowed === 'read-only' ? 'read-only' : use.access;
  const driver = await openDriver(options, { ...use, access });
  const limits = { uploadBytesPerSecond: bytesOf(uploadLimit), downloadBytesPerSecond: bytesOf(downloadLimit) };
  const inUse = driverInUse(driver, { instance: use.instance, allowed, limits, observe });
  if (encryption === undefined) return inUse;
  const { driverWithEncryption } = await import('../storage-drivers/with-encryption.ts');
  return driverWithEncryption(inUse, encryption);
}

function bytesOf(megabytes: number | undefined): number | undefined {
  return megabytes === undefined ? undefined : megabytes * 1_000_000;
}

type RepositoryOnDemand = Repository & { readonly driver: DriverOnDemand };

/** Not opened yet: a store that is away must not keep the service from serving what it can. */
export function configuredRepositories(
  config: Config,
  { instance, catalog, pool }: { readonly instance: string; readonly catalog: Catalog; readonly pool: WorkerPool },
): ReadonlyMap<RepositoryName, RepositoryOnDemand> {
  const repositories = new Map<RepositoryName, RepositoryOnDemand>();
  for (const options of config.repositories.values()) {
    const { name } = options;
    const health = new StoreHealth();
    const driver = new DriverOnDemand({ type: options.driver, name }, async () => {
      const begun = performance.now();
      let opened: StorageDriver | undefined;
      try {
        const encryption = await encryptionOf(options, config, pool);
        opened = await openStore(options, { instance, access: 'read-write', encryption });
        await beginOrRecognise({ name, driver: opened }, catalog);
        return driverWithObserver(opened, health.observe);
      } catch (thrown) {
        const error = toWaldenError(thrown);
        health.observe({ operation: 'get', milliseconds: performance.now() - begun, error });
        await opened?.close();
        throw error;
      }
    });
    repositories.set(name, { name, driver, health });
  }
  return repositories;
}

/** With these, the other repositories of a cluster go on serving what they hold; nothing is stored meanwhile. */
const KEYS_FAIL = ['KEY_MISSING', 'KEY_REFUSED'] as const;

/**
 * Opens what can be opened now. What is away is told, and opened when it is asked for.
 * @throws what will not pass by itself, of a repository that a cluster requires; where only its keys fail, when no other
 * repository of that cluster is there
 */
export async function openRepositories(
  config: Config,
  repositories: ReadonlyMap<RepositoryName, RepositoryOnDemand>,
  log: ServiceLog,
): Promise<void> {
  const failures = new Map<RepositoryName, WaldenError>();
  const opening = [...repositories].map(async ([name, { driver }]) => {
    await driver.opened().catch((error: unknown) => failures.set(name, toWaldenError(error)));
  });
  await Promise.all(opening);
  for (const { required, repositories: all } of config.clusters.values()) {
    const isServed = all.some((name) => !failures.has(name));
    for (const name of required) {
      const error = failures.get(name);
      if (error === undefined || error.retryable || (isServed && isWaldenError(error, ...KEYS_FAIL))) continue;
      throw error;
    }
  }
  for (const [name, error] of failures) {
    log.warn({ repository: name, error: errorToDocument(error) }, `repository ${name} is away: ${error.message}`);
  }
}
