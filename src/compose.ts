import { readFile, rename, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Catalog, RepositoryName } from '../catalog/catalog.ts';
import { holdExclusiveLock } from '../catalog/sqlite/exclusive-lock.ts';
import { SqliteCatalog } from '../catalog/sqlite/sqlite-catalog.ts';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import { type DriverOptions, openDriver, type StoreAccess } from '../storage-drivers/registry.ts';
import { driverWithDeadlines } from '../storage-drivers/with-deadline.ts';
import { driverWithRetries } from '../storage-drivers/with-retry.ts';
import type { Config } from './config/config.ts';
import { localIoError, systemErrorCode, WaldenError } from './errors.ts';
import { systemClock } from './platform/clock.ts';
import { emptyDirectory, makeDirectories, syncDirectory, syncFile } from './platform/files.ts';
import { createWorkerPool, type WorkerPool } from './platform/worker-pool.ts';
import { rebuildAndReplace } from './repository/rebuild-and-replace.ts';
import { rebuildCatalog } from './repository/rebuild-catalog.ts';
import type { ServiceInstance } from './repository/backup-claim.ts';
import type { Repository } from './repository/repository.ts';
import { repositoryName } from './repository/names.ts';
import { beginOrRecognise } from './repository/begin-or-recognise.ts';
import { readRepositoryFile } from './repository/repository-file.ts';
import type { ServiceDeps, ServiceLogger } from './service/deps.ts';
import type { OfflineOptions, OfflineWalden } from './service/offline.ts';
import { RepositoryWalden } from './service/offline-walden.ts';
import { type RunningService, startService } from './service/service.ts';
import { WALDEN_VERSION } from './version.ts';

/** The only place that names concrete drivers, catalogs and clocks. */

const STATE_MODE = 0o750;
/** How long a store may take for one answer, and for one object: a hung one must not hang PostgreSQL. */
const STORE_DEADLINES = { answerMs: 15_000, putMs: 600_000 };
/** A hiccup of a network file system is not worth an error; PostgreSQL and backups try longer things again themselves. */
const STORE_RETRIES = { retries: 2, firstWaitMs: 200, longestWaitMs: 2_000 };

export function createPool(threads: number): WorkerPool {
  return createWorkerPool(new URL('./worker.js', import.meta.url), threads);
}

/**
 * Starts the service of this configuration. What was opened is closed again when a later step fails.
 * @throws LOCK_HELD when another service has this state directory, and what the catalog and the repositories throw
 */
export async function startWalden(config: Config, log: ServiceLogger): Promise<RunningService> {
  const { stateDirectory, workers } = config.service;
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  try {
    await makeDirectories(stateDirectory, STATE_MODE).catch((error: unknown) => {
      throw localIoError(error, `unable to make the state directory ${stateDirectory}`);
    });
    const lock = holdExclusiveLock(join(stateDirectory, 'service.lock'), systemClock);
    closers.push(() => {
      lock.release();
    });
    for (const { spoolDirectory } of config.clusters.values()) closers.push(await lockSpool(spoolDirectory));
    // What a killed service had staged, for stores that have no place of their own for it.
    await emptyDirectory(join(stateDirectory, 'staging'));
    const catalog = SqliteCatalog.openOwn(join(stateDirectory, 'catalog.sqlite'));
    closers.push(() => catalog.close());
    const instance = await instanceOf(stateDirectory);
    const repositories = await openRepositories(config, instance, catalog);
    for (const { driver } of repositories.values()) closers.push(() => driver.close());
    const pool = createPool(workers);
    closers.push(() => pool.close());
    const deps: ServiceDeps = {
      config,
      version: WALDEN_VERSION,
      catalog,
      repositories,
      pool,
      clock: systemClock,
      instance,
      log,
      rebuildCatalog: (signal) =>
        rebuildAndReplace({
          catalog,
          repositories: [...repositories.values()],
          clusters: [...config.clusters.keys()],
          signal,
        }),
    };
    const service = await startService(deps, log);
    return {
      async stop() {
        await service.stop();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Two services that share a spool by mistake would have each other's acknowledgements believed. @throws LOCK_HELD, LOCAL_IO */
async function lockSpool(directory: string): Promise<() => void> {
  await makeDirectories(directory, STATE_MODE).catch((error: unknown) => {
    throw localIoError(error, `unable to make the spool ${directory}`);
  });
  const lock = holdExclusiveLock(join(directory, 'service.lock'), systemClock);
  return () => {
    lock.release();
  };
}

/** A repository alone, without configuration or service; nothing in it is changed. */
export async function openOffline({ repositoryPath, workers, note }: OfflineOptions): Promise<OfflineWalden> {
  const path = resolve(repositoryPath);
  const instance = `offline-${randomUUID()}`;
  const driver = await openStore({ driver: 'local', path }, { instance, access: 'read-only' });
  const repository: Repository = { name: repositoryName('repository'), driver };
  if ((await readRepositoryFile(repository)) === undefined) {
    throw new WaldenError('STORAGE_UNAVAILABLE', `${path} is not a repository of Walden: it has no walden.json`, {
      hint: 'name the directory that stands as path in the configuration',
    });
  }
  return new RepositoryWalden({
    repository,
    repositoryPath: path,
    pool: createPool(workers ?? availableParallelism()),
    clock: systemClock,
    note,
    loadCatalog: async (cluster, note) => {
      const catalog = SqliteCatalog.open(':memory:');
      const { signal } = new AbortController();
      await rebuildCatalog({ repositories: [repository], clusters: [cluster], catalog, signal, note });
      return catalog;
    },
  });
}

async function openStore(
  options: DriverOptions,
  use: { readonly instance: string; readonly access: StoreAccess },
): Promise<StorageDriver> {
  return driverWithRetries(driverWithDeadlines(await openDriver(options, use), STORE_DEADLINES), STORE_RETRIES);
}

async function openRepositories(
  config: Config,
  instance: string,
  catalog: Catalog,
): Promise<ReadonlyMap<RepositoryName, Repository>> {
  const repositories = new Map<RepositoryName, Repository>();
  for (const options of config.repositories.values()) {
    const driver = await openStore(options, { instance, access: 'read-write' });
    const repository: Repository = { name: options.name, driver };
    await beginOrRecognise(repository, catalog);
    repositories.set(options.name, repository);
  }
  return repositories;
}

/** Tells this service's staged files from another's; made once per state directory. */
async function instanceOf(stateDirectory: string): Promise<ServiceInstance> {
  const path = join(stateDirectory, 'instance');
  try {
    return ((await readInstance(path)) ?? (await makeInstance(path))) as ServiceInstance;
  } catch (error) {
    throw localIoError(error, `unable to read or make ${path}`);
  }
}

/** Undefined also for what a crash or a full disk left of one: whatever it names becomes part of a path. */
async function readInstance(path: string): Promise<string | undefined> {
  try {
    const text = (await readFile(path, 'utf8')).trim();
    return /^[0-9a-f-]{36}$/.test(text) ? text : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function makeInstance(path: string): Promise<string> {
  const instance = randomUUID();
  const staged = `${path}.tmp`;
  await writeFile(staged, `${instance}\n`, { mode: 0o640 });
  await syncFile(staged);
  await rename(staged, path);
  await syncDirectory(dirname(path));
  return instance;
}
