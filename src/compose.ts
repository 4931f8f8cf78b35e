import { readFile, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Catalog, ClusterName, RepositoryName } from '../catalog/catalog.ts';
import { holdExclusiveLock } from '../catalog/sqlite/exclusive-lock.ts';
import { SqliteCatalog } from '../catalog/sqlite/sqlite-catalog.ts';
import { openDriver } from '../storage-drivers/registry.ts';
import { driverWithDeadlines } from '../storage-drivers/with-deadline.ts';
import type { Config } from './config/config.ts';
import { systemErrorCode } from './errors.ts';
import { systemClock } from './platform/clock.ts';
import { makeDirectories } from './platform/files.ts';
import { createWorkerPool, type WorkerPool } from './platform/worker-pool.ts';
import type { Repository } from './repository/repository.ts';
import { ensureRepositoryFile } from './repository/repository-file.ts';
import type { ServiceDeps } from './service/deps.ts';
import { type RunningService, startService } from './service/service.ts';
import { waldenVersion } from './platform/version.ts';

/** The only place that names concrete drivers, catalogs and clocks. */

const STATE_MODE = 0o750;
/** How long a store may take for one answer, and for one object: a hung one must not hang PostgreSQL. */
const STORE_DEADLINES = { answerMs: 30_000, putMs: 600_000 };

export function createPool(threads: number): WorkerPool {
  return createWorkerPool(new URL('./worker.js', import.meta.url), threads);
}

/**
 * Starts the service of this configuration. What was opened is closed again when a later step fails.
 * @throws LOCK_HELD when another service has this state directory, and what the catalog and the repositories throw
 */
export async function startWalden(config: Config, log: Logger): Promise<RunningService> {
  const { stateDirectory, workers } = config.service;
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  try {
    await makeDirectories(stateDirectory, STATE_MODE);
    const lock = holdExclusiveLock(join(stateDirectory, 'service.lock'));
    closers.push(() => {
      lock.release();
    });
    const catalog = SqliteCatalog.open(join(stateDirectory, 'catalog.sqlite'));
    closers.push(() => catalog.close());
    const repositories = await openRepositories(config, await instanceOf(stateDirectory));
    for (const { driver } of repositories.values()) closers.push(() => driver.close());
    const pool = createPool(workers);
    closers.push(() => pool.close());
    const deps: ServiceDeps = {
      config,
      version: waldenVersion(),
      catalog,
      repositories,
      pool,
      clock: systemClock,
      log,
      rebuildCatalog: (signal) => rebuild(catalog, repositories, config, signal),
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

async function openRepositories(config: Config, instance: string): Promise<ReadonlyMap<RepositoryName, Repository>> {
  const repositories = new Map<RepositoryName, Repository>();
  for (const options of config.repositories.values()) {
    const driver = driverWithDeadlines(await openDriver(options, { instance, access: 'read-write' }), STORE_DEADLINES);
    const repository: Repository = { name: options.name, driver };
    await ensureRepositoryFile(repository);
    repositories.set(options.name, repository);
  }
  return repositories;
}

/** Tells this service's staged files from another's; made once per state directory. */
async function instanceOf(stateDirectory: string): Promise<string> {
  const path = join(stateDirectory, 'instance');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  const instance = randomUUID();
  await writeFile(path, `${instance}\n`, { mode: 0o640 });
  return instance;
}
