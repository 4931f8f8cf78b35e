import { readFile, rename, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { holdExclusiveLock } from '../catalog/sqlite/exclusive-lock.ts';
import { SqliteCatalog } from '../catalog/sqlite/sqlite-catalog.ts';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import { offlineRestoreCommand } from './config/command-line.ts';
import { type Config, primaryConninfo } from './config/config.ts';
import { localIoError, systemErrorCode, WaldenError } from './errors.ts';
import { configuredRepositories, openConfiguredStore, openDirectory, openRepositories } from './open-stores.ts';
import { systemClock } from './platform/clock.ts';
import { emptyDirectory, makeDirectories, syncDirectory, syncFile } from './platform/files.ts';
import { createWorkerPool, type WorkerPool } from './platform/worker-pool.ts';
import { microsFromDate } from './postgres/timestamp.ts';
import { rebuildAndReplace } from './repository/rebuild-and-replace.ts';
import { rebuildCatalog } from './repository/rebuild-catalog.ts';
import type { ServiceInstance } from './repository/backup-claim.ts';
import type { Repository } from './repository/repository.ts';
import { repositoryName } from './repository/names.ts';
import { type OtherKind, readRepositoryFile } from './repository/repository-file.ts';
import { parseTargetTime } from './restore/target-time.ts';
import type { ServiceDeps, ServiceLogger } from './service/deps.ts';
import type { OfflineOptions, OfflineSource, OfflineWalden } from './service/offline.ts';
import { RepositoryWalden } from './service/offline-walden.ts';
import type { RunningService } from './service/service.ts';
import { WALDEN_VERSION } from './version.ts';

/** The only place that names concrete catalogs and clocks; open-stores.ts is that for drivers. */

const STATE_MODE = 0o750;

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
    const pool = createPool(workers);
    closers.push(() => pool.close());
    const repositories = configuredRepositories(config, { instance, catalog, pool });
    for (const { driver } of repositories.values()) closers.push(() => driver.close());
    await openRepositories(config, repositories, log);
    const deps: ServiceDeps = {
      config,
      version: WALDEN_VERSION,
      catalog,
      repositories,
      pool,
      clock: systemClock,
      instance,
      log,
      rebuildCatalog: (signal, part) =>
        rebuildAndReplace({
          catalog,
          repositories: [...repositories.values()],
          clusters: [...config.clusters.keys()],
          signal,
          part,
        }),
    };
    // Commands that work without the service must not wait for its packages: restore_command runs one for each WAL file.
    const { startService } = await import('./service/service.ts');
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

/** A repository alone, without the service; nothing in it is changed. */
export async function openOffline({ source, workers, note }: OfflineOptions): Promise<OfflineWalden> {
  const { driver, place, words, keys } = await openSource(source, note);
  const repository: Repository = { name: repositoryName('repository'), driver };
  try {
    const refusal = 'path' in source ? (kind: OtherKind) => notByThisCommand(place, kind) : undefined;
    if ((await readRepositoryFile(repository, refusal)) === undefined) {
      throw new WaldenError('STORAGE_UNAVAILABLE', `${place} is not a repository of Walden: it has no walden.json`, {
        hint: 'name the directory, bucket and prefix that the configuration of the service names, or another moment',
      });
    }
  } catch (error) {
    await driver.close();
    throw error;
  }
  return new RepositoryWalden({
    repository,
    place,
    restoreCommand: (cluster) => offlineRestoreCommand(words, cluster),
    primary: (cluster) => {
      const configured = 'config' in source ? source.config.clusters.get(cluster) : undefined;
      return configured && primaryConninfo(configured);
    },
    keys,
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

interface OpenedSource {
  readonly driver: StorageDriver;
  readonly place: string;
  /** The options of the command line that name it, for whoever opens it again. */
  readonly words: readonly string[];
  /** Files or directories that must be there then. */
  readonly keys: readonly string[];
}

async function openSource(source: OfflineSource, note: (text: string) => void): Promise<OpenedSource> {
  if ('path' in source) {
    const path = resolve(source.path);
    const keyFiles = source.keyFiles.map((file) => resolve(file));
    const driver = await openDirectory(path, { instance: `offline-${randomUUID()}`, keyFiles });
    const keyWords = keyFiles.flatMap((file) => ['--key-file', file]);
    return { driver, place: path, words: ['--repository-path', path, ...keyWords], keys: keyFiles };
  }
  const { config, name } = source;
  const asOf = momentOf(source.asOf, note);
  const driver = await openConfiguredStore(config, name, { access: 'read-only', asOf });
  const words = ['--config', config.source, '--repository', name];
  const { keyDirectory } = [...config.repositories.values()].find((one) => one.name === name) ?? {};
  const keys = keyDirectory === undefined ? [] : [keyDirectory];
  if (asOf === undefined) return { driver, place: name, words, keys };
  const moment = asOf.toISOString();
  return { driver, place: `${name} as of ${moment}`, words: [...words, '--as-of', moment], keys };
}

function notByThisCommand(place: string, kind: OtherKind): WaldenError {
  return kind === 'encrypted'
    ? new WaldenError('KEY_MISSING', `the repository ${place} is encrypted, and no key was named`, {
        hint: "name a file with a key that opens it, the service's or a recovery key: --key-file FILE",
      })
    : new WaldenError('USAGE', `the repository ${place} is not encrypted, but a key was named`, {
        hint: 'make sure that it is the one that you mean, and leave --key-file out',
      });
}

/** The moment that an operator's words name, as recovery targets do. @throws USAGE */
export function momentOf(text: string | undefined, note: (text: string) => void): Date | undefined {
  if (text === undefined) return undefined;
  const { time, notes } = parseTargetTime(text, microsFromDate(systemClock.now()));
  for (const assumed of notes) note(assumed);
  return new Date(Math.floor(time / 1000));
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
