import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WaldenError } from '../../src/errors.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { WalFetcher } from '../../src/wal/fetch.ts';
import { storeWalFile } from '../../src/wal/store.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { archived, archiveNow, switchSegment } from '../support/archiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Scene, startScene } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { type Outcome, runProgram } from '../support/walden.ts';
import { createWalPool, openLocalRepository, setUpWal } from '../support/wal-setup.ts';

describe('a service that hangs', () => {
  let scene: Scene;
  beforeAll(async () => {
    const clusterSettings = ['wal_push_timeout = 2', 'wal_fetch_timeout = 2'];
    scene = await startScene({
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      walden: { clusterSettings },
    });
  });
  afterAll(async () => {
    if (scene.walden.pid !== undefined) process.kill(scene.walden.pid, 'SIGCONT');
    await scene.dispose();
  });

  async function fetch(command: string, segment: string, directory: string): Promise<Outcome> {
    const words = command.replace('%f', segment).replace('%p', 'here');
    return await runProgram('/bin/sh', ['-c', words], { cwd: directory });
  }

  it('does not hold PostgreSQL up, is never taken for an answer, and all goes on when it does', async () => {
    const { server, walden } = scene;
    const stored = await archiveNow(server);
    const { restoreCommand } = await walden.commandSettings();
    process.kill(walden.pid!, 'SIGSTOP');
    const segment = await switchSegment(server);
    const [node, standby] = [newDirectory('node'), newDirectory('standby')];
    writeFileSync(join(standby, 'standby.signal'), '');
    const [onNode, onStandby] = await Promise.all([
      fetch(restoreCommand, stored, node),
      fetch(restoreCommand, stored, standby),
    ]);
    expect(onNode.status).toBe(200);
    expect(onNode.stderr).toContain(`no answer for ${stored} within 2 s`);
    expect(onStandby.status).toBe(1);
    expect(onStandby.stderr).toContain('NOT a proof');
    expect([...readdirSync(node), ...readdirSync(standby)]).toEqual(['standby.signal']);
    await until(async () => (await server.log()).includes(`no answer for ${segment} within 2 s`), {
      what: 'the archiver to give up',
      explain: () => server.log(),
    });
    expect(await server.value('select count(*) from marks')).toBe('0');
    // A shutdown waits for the archiver, and not for ever.
    await server.stop('fast');
    await server.start();
    expect(existsSync(join(server.dataDirectory, 'pg_wal/archive_status', `${segment}.ready`))).toBe(true);
    process.kill(walden.pid!, 'SIGCONT');
    await archived(server, await switchSegment(server));
    await archived(server, segment);
    expect(await fetch(restoreCommand, segment, node)).toMatchObject({ status: 0 });
  });

  it('a pipe where a WAL file should be does not hold a worker up', async () => {
    const { server, walden } = scene;
    // The longest of names: nobody else asks for it.
    const name = '0000000100000000000000F0';
    const path = join(newDirectory('pipe'), name);
    await runProgram('mkfifo', [path]);
    renameSync(path, join(server.dataDirectory, 'pg_wal', name));
    const url = `http://walden/v1/clusters/main/wal/${name}/push`;
    const words = ['--silent', '--max-time', '20', '--unix-socket', join(walden.directory, 'walden.sock')];
    for (let count = 0; count < 3; count += 1) {
      const { stdout } = await runProgram('curl', [...words, '--request', 'POST', url]);
      expect(JSON.parse(stdout)).toMatchObject({ code: 'FORMAT_INVALID' });
      expect(stdout).toContain(`${name} is no file`);
    }
    rmSync(join(server.dataDirectory, 'pg_wal', name));
    await archiveNow(server);
  });

  it('a pipe where an object should be is an error at once, and another repository would serve', async () => {
    const { server, walden } = scene;
    const segment = await archiveNow(server);
    const object = segmentObject(walden, segment);
    const kept = join(newDirectory('kept'), segment);
    copyFileSync(object, kept);
    rmSync(object);
    await runProgram('mkfifo', [object]);
    const { restoreCommand } = await walden.commandSettings();
    const outcome = await fetch(restoreCommand, segment, newDirectory('node'));
    expect(outcome.status).toBe(200);
    expect(outcome.stderr).toContain('(STORAGE_UNAVAILABLE)');
    rmSync(object);
    writeFileSync(object, readFileSync(kept));
    expect(await fetch(restoreCommand, segment, newDirectory('node'))).toMatchObject({ status: 0 });
  });
});

describe('a store that never answers', () => {
  const pool = createWalPool();
  afterAll(() => pool.close());
  const never = <Result>(): Promise<Result> => new Promise<Result>(() => undefined);

  function hung({ name, driver }: Repository): Repository {
    const silent: StorageDriver = {
      ...{ type: 'silent', features: driver.features, list: (prefix) => driver.list(prefix) },
      ...{ put: never, get: never, stat: never, remove: never, close: never },
    };
    return { name, driver: driverWithDeadlines(silent, { answerMs: 50, putMs: 50 }) };
  }

  it('is told as out of reach; nothing is acknowledged, and another one serves', async () => {
    const [near, far] = [await openLocalRepository('near'), await openLocalRepository('far')];
    const setup = await setUpWal(pool, [near, far]);
    const name = setup.segment(3n);
    const path = join(setup.dataDirectory, 'pg_wal', name);
    const half = setup.withRepositories([hung(near), far]);
    const failure = await storeWalFile(half, parseWalName(name), path).catch((error: unknown) => error as WaldenError);
    expect(failure).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await storeWalFile(setup.withRepositories([far]), parseWalName(name), path);
    const fetcher = new WalFetcher(half, setup.spool);
    expect(await fetcher.fetch(name)).toBe('ready');
    await expect(fetcher.fetch(setup.segment(9n))).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await fetcher.stop();
  });
});
