import { mkdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { BackupId, RepositoryName } from '../../catalog/catalog.ts';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import { WaldenError } from '../../src/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { ServiceInstance } from '../../src/repository/backup-claim.ts';
import { rebuildAndReplace } from '../../src/repository/rebuild-and-replace.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ServiceDeps } from '../../src/service/deps.ts';
import { startService } from '../../src/service/service.ts';
import { MemoryDriver } from '../../storage-drivers/memory/memory-driver.ts';
import { NEAR } from '../support/catalog-rows.ts';
import { sameThreadPool } from '../support/crash/same-thread-pool.ts';
import { GeneratedRepository } from '../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { until } from '../support/until.ts';

const ID = '20261122T021500F' as BackupId;

/** A service on a new host: the repository is full, and the catalog that is being made of it knows nothing yet. */
it('a service that is still reading its repositories says so, rather than that there is nothing', async () => {
  const directory = newDirectory('behind');
  for (const name of ['state', 'data']) mkdirSync(join(directory, name));
  const config = parseConfig(
    `[service]
state_directory = "${directory}/state"
socket = "${directory}/socket"
[repository.${NEAR}]
driver = "local"
path = "${directory}/unused"
[cluster.main]
data_directory = "${directory}/data"
conninfo = "host=/nowhere"
repositories = ["${NEAR}"]
`,
    'walden.toml',
  );
  const repository: Repository = { name: NEAR, driver: new MemoryDriver() };
  const made = new GeneratedRepository(repository, SqliteCatalog.open(':memory:'));
  await made.begin();
  await made.addSegments(1, [1, 2, 3]);
  await made.addWholeBackup(ID, 1, 2);
  const catalog = SqliteCatalog.openOwn(join(directory, 'state', 'catalog.sqlite'));
  let go = (): void => undefined;
  let away = true;
  const gone = new Promise<void>((resolve) => (go = resolve));
  const log = pino({ level: 'silent' });
  const deps: ServiceDeps = {
    ...{ config, version: 'test', catalog, pool: sameThreadPool(), clock: systemClock, log },
    repositories: new Map<RepositoryName, Repository>([[NEAR, repository]]),
    instance: 'test' as ServiceInstance,
    async rebuildCatalog(signal) {
      await gone;
      if (away) throw new WaldenError('STORAGE_UNAVAILABLE', 'away');
      return await rebuildAndReplace({
        catalog,
        repositories: [repository],
        clusters: [...config.clusters.keys()],
        signal,
      });
    },
  };
  const service = await startService(deps, log);
  const { socket } = config.service;
  for (const path of ['backups', 'backups/latest', 'wal', 'wal/gaps']) {
    expect(await ask(socket, `/v1/clusters/main/${path}`)).toMatchObject({ code: 'CATALOG_INCOMPLETE' });
  }
  expect(await ask(socket, '/v1/status')).toMatchObject({ catalogRebuild: expect.any(String) as string });
  go();
  // A rebuild that failed leaves the catalog as little knowing as before.
  const refusal = async (): Promise<unknown> => (await ask(socket, '/v1/clusters/main/backups'))['message'];
  await until(async () => /could not be rebuilt/.test(String(await refusal())), { what: 'the failure of the rebuild' });
  expect(await ask(socket, '/v1/status')).toMatchObject({ catalogRebuild: expect.any(String) as string });
  away = false;
  await ask(socket, '/v1/catalog/rebuild', 'POST');
  await until(async () => (await ask(socket, '/v1/status'))['catalogRebuild'] === null, {
    what: 'the end of the rebuild',
  });
  expect(await ask(socket, '/v1/clusters/main/backups')).toMatchObject({ backups: [{ id: ID, state: 'complete' }] });
  await service.stop();
  await catalog.close();
  removeDirectory(directory);
});

async function ask(socketPath: string, path: string, method = 'GET'): Promise<Readonly<Record<string, unknown>>> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method, agent: false }, (response) => {
      json(response).then((answer) => {
        resolve(answer as Readonly<Record<string, unknown>>);
      }, reject);
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}
