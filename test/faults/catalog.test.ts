import { chmodSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { archiveNow } from '../support/archiving.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';

describe('a catalog that', () => {
  let scene: Scene;
  let catalog: string;
  let whole: string;
  let known: unknown;

  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, initdbArguments: ['--wal-segsize=1'] });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await archiveNow(server);
    // Nobody archives while the service is down, so that its answers stay what they were.
    await server.stop();
    known = await answers();
    await walden.stop();
    catalog = join(walden.stateDirectory, 'catalog.sqlite');
    whole = `${catalog}.whole`;
    copyFileSync(catalog, whole);
  });
  afterAll(() => scene.dispose());
  beforeEach(() => {
    copyFileSync(whole, catalog);
  });

  async function answers(): Promise<unknown> {
    const { walden } = scene;
    return [await walden.json('list', 'main'), await walden.json('wal', 'list', 'main')];
  }

  /** What docs/troubleshooting.md says: move it away, start, rebuild. */
  async function expectRebuilt(): Promise<void> {
    const { walden } = scene;
    await walden.start();
    await walden.run('catalog', 'rebuild');
    expect(await answers()).toEqual(known);
    await walden.stop();
  }

  it.each<[string, number, () => void]>([
    [
      'is garbage',
      61,
      () => {
        writeFileSync(catalog, 'garbage '.repeat(1000));
      },
    ],
    [
      'is cut in its first page',
      61,
      () => {
        truncateSync(catalog, 700);
      },
    ],
    [
      'is of a newer version',
      62,
      () => {
        setVersion(99);
      },
    ],
    [
      'belongs to another program',
      61,
      () => {
        otherProgram();
      },
    ],
  ])('%s keeps the service from starting, by name, and is left as it is', async (_, status, fault) => {
    fault();
    const before = readFileSync(catalog);
    const outcome = await scene.walden.attempt('service');
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(catalog);
    expect(outcome.stderr).toMatch(/^HINT: ./m);
    expect(readFileSync(catalog).equals(before)).toBe(true);
    renameSync(catalog, `${catalog}.broken`);
    await expectRebuilt();
  });

  it('is cut in the middle is told by name when it is asked, and its rebuild is refused rather than believed', async () => {
    const { walden } = scene;
    truncateSync(catalog, Math.floor(readFileSync(catalog).length / 8192) * 4096);
    const started = await walden.start().then(
      () => true,
      () => false,
    );
    const outcome = started ? await walden.attempt('list', 'main') : await walden.attempt('service');
    expect(outcome.status).toBe(61);
    expect(outcome.stderr).toContain(catalog);
    await walden.kill();
    rmSync(catalog);
    await expectRebuilt();
  });

  it('was removed is begun anew: nothing in the repository is touched, and a rebuild knows all again', async () => {
    rmSync(catalog);
    await expectRebuilt();
  });

  it('stands where the service may not write keeps it from starting, by name, until it may', async () => {
    const { walden } = scene;
    chmodSync(walden.stateDirectory, 0o500);
    const outcome = await walden.attempt('service');
    chmodSync(walden.stateDirectory, 0o700);
    expect(outcome.status).toBe(64);
    expect(outcome.stderr).toContain(walden.stateDirectory);
    await walden.start();
    expect(await answers()).toEqual(known);
    await walden.stop();
  });

  function setVersion(version: number): void {
    const database = new Database(catalog);
    database.pragma(`user_version = ${version}`);
    database.close();
  }

  function otherProgram(): void {
    rmSync(catalog);
    const database = new Database(catalog);
    database.exec('create table mine (x)');
    database.close();
  }
});
