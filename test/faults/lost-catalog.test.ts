import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupId } from '../../catalog/catalog.ts';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import type { BackupListDocument } from '../../src/service/api.ts';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import { ensureRepositoryFile } from '../../src/repository/repository-file.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { FAR, NEAR } from '../support/catalog-rows.ts';
import { encrypted, newKeyRing } from '../support/encryption.ts';
import { GeneratedRepository } from '../support/generated-repository.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { until } from '../support/until.ts';
import { createWalden, type WaldenHarness } from '../support/walden.ts';

const ID = '20261122T021500F' as BackupId;

/** A full repository under a service that has never run. */
describe('a service whose catalog was lost', () => {
  let walden: WaldenHarness;

  beforeEach(async () => {
    const place = { dataDirectory: newDirectory('data'), conninfo: 'host=/nowhere' };
    walden = createWalden({ clusters: { main: place, other: { ...place, dataDirectory: newDirectory('data') } } });
    const driver = await LocalDriver.open({ root: walden.repositoryPath(), instance: 'test', access: 'read-write' });
    const catalog = SqliteCatalog.open(':memory:');
    const made = new GeneratedRepository({ name: NEAR, driver }, catalog);
    await made.begin();
    await made.addSegments(1, [1, 2, 3]);
    await made.addBackup(ID);
    await catalog.close();
    await driver.close();
  });
  afterEach(async () => {
    await walden.kill();
    removeDirectory(walden.directory);
  });

  async function rebuilds(): Promise<readonly string[]> {
    const { jobs } = (await walden.json('job', 'list')) as JobListDocument;
    return jobs.filter(({ kind }) => kind === 'catalog-rebuild').map(({ state }) => state);
  }

  async function rebuilt(...states: readonly string[]): Promise<void> {
    const ended = async (): Promise<boolean> => JSON.stringify(await rebuilds()) === JSON.stringify(states);
    await until(ended, { what: `the rebuilds ${states.join(', ')}` });
  }

  async function expectBackup(): Promise<void> {
    const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
    expect(backups.map(({ id, state }) => ({ id, state }))).toEqual([{ id: ID, state: 'complete' }]);
  }

  it('rebuilds it at its start, once', async () => {
    await walden.start();
    await rebuilt('done');
    await expectBackup();
    await walden.stop();
    await walden.start();
    expect(await rebuilds()).toEqual(['done']);
  });

  it('begins again at each start until a rebuild has succeeded', async () => {
    const wal = join(walden.repositoryPath(), 'main', 'wal');
    chmodSync(wal, 0);
    try {
      await walden.start();
      await rebuilt('failed');
      await walden.stop();
    } finally {
      chmodSync(wal, 0o750);
    }
    await walden.start();
    await rebuilt('done', 'failed');
    await expectBackup();
  });

  it('serves the other clusters when the file of one is damaged', async () => {
    writeFileSync(join(walden.repositoryPath(), 'main', 'cluster.json'), 'garbage');
    await walden.start();
    expect(await walden.run('status')).toContain('other: nothing is known of it yet');
    expect(await walden.log()).toContain('cluster.json');
  });

  it('says nothing of a cluster that one which is required may know, until that can be read', async () => {
    const [root, keys] = [newDirectory('far'), await newKeyRing()];
    const { keyDirectory } = keys.options;
    const local = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
    const catalog = SqliteCatalog.open(':memory:');
    const made = new GeneratedRepository({ name: FAR, driver: encrypted(local, keys) }, catalog);
    await ensureRepositoryFile(made.repository);
    await made.begin();
    await made.addBackup(ID);
    await catalog.close();
    await local.close();
    renameSync(keyDirectory, `${keyDirectory}.aside`);
    const place = { dataDirectory: newDirectory('data'), conninfo: 'host=/nowhere' };
    const far = ['driver = "local"', `path = "${root}"`, `key_directory = "${keyDirectory}"`];
    const fresh = createWalden({ clusters: { main: place }, repositories: ['near', 'far'], stores: { far } });
    await fresh.start();
    try {
      expect(await fresh.attempt('list', 'main')).toMatchObject({ status: 65, stdout: '' });
      renameSync(`${keyDirectory}.aside`, keyDirectory);
      const backups = async (): Promise<readonly string[] | undefined> => {
        const listed = await fresh.attempt('list', 'main', '--json');
        if (listed.status !== 0) return undefined;
        return (JSON.parse(listed.stdout) as BackupListDocument).backups.map(({ id }) => id);
      };
      expect(await until(backups, { what: 'the list of backups', explain: () => fresh.log() })).toEqual([ID]);
    } finally {
      await fresh.kill();
    }
  });

  it('begins with an empty one where there is nothing to rebuild it from', async () => {
    rmSync(walden.repositoryPath(), { recursive: true });
    mkdirSync(walden.repositoryPath());
    await walden.start();
    expect(await rebuilds()).toEqual([]);
  });
});
