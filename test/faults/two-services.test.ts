import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { startRestored } from '../support/postgres-server.ts';
import { assertSound, freshTarget, type Scene, startScene } from '../support/scene.ts';
import { filesBelow, segmentObject, sha256Of } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { createWalden, type WaldenHarness } from '../support/walden.ts';

/** The second has a state directory of its own, and by mistake the repository and the cluster of the first. */
describe('two services on one repository and one cluster', () => {
  let scene: Scene;
  let second: WaldenHarness;

  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, initdbArguments: ['--wal-segsize=1'] });
    second = createWalden({ clusters: { main: scene.server } });
    const text = readFileSync(second.configFile, 'utf8');
    writeFileSync(second.configFile, text.replace(second.repositoryPath(), scene.walden.repositoryPath()));
    await second.start();
  });
  afterAll(async () => {
    await second.kill();
    await scene.dispose();
  });

  it('the same WAL from both is one object, and other bytes are refused by either', async () => {
    const { server, walden } = scene;
    const segment = await archiveNow(server);
    const object = segmentObject(walden, segment);
    const stored = sha256Of(object);
    const path = join(server.dataDirectory, 'pg_wal', segment);
    expect(await second.attempt('wal', 'push', 'main', path)).toMatchObject({ status: 0 });
    const other = join(second.directory, segment);
    const bytes = readFileSync(path);
    // Behind the last record, where the walk of records looks at nothing.
    bytes[bytes.length - 1] = 1;
    writeFileSync(other, bytes);
    for (const service of [walden, second]) {
      const refused = await service.attempt('wal', 'push', 'main', other);
      expect([31, 40]).toContain(refused.status);
    }
    expect(sha256Of(object)).toBe(stored);
  });

  it('backups of both at the same time take ids of their own, and neither sweeps what the other is taking', async () => {
    const { server, walden } = scene;
    await server.query('create table bulk as select md5(i::text) from generate_series(1, 120000) i');
    const slow = ['--no-wait', '--compression-level', '19', '--workers', '1'];
    const first = await begin(walden, slow);
    const id = await until(() => claims()[0], { what: 'the claim of the first' });
    // Each begins by sweeping what failed backups left. Its catalog does not know the WAL that the first one archives, so
    // it cannot end.
    const other = await begin(second, ['--no-wait']);
    await until(() => claims().length === 2, { what: 'the claim of the second' });
    expect(await second.log()).toContain(`backup ${id} in repository local is another service's and not complete`);
    expect((await ended(walden, first)).state).toBe('done');
    await archiveNow(server);
    await second.run('job', 'cancel', other);
    expect((await ended(second, other)).state).toBe('cancelled');
    expect(claims()).toEqual([id]);
    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to, '--backup', id);
    const restored = await startRestored(to, { version: newestVersion });
    await assertSound(restored);
    await restored.dispose();
  });

  it('that share a spool as well: the second is refused, by name', async () => {
    const shared = createWalden({ clusters: { main: scene.server } });
    const spools = join(scene.walden.stateDirectory, 'spool');
    writeFileSync(shared.configFile, `${readFileSync(shared.configFile, 'utf8')}spool_directory = "${spools}"\n`);
    const outcome = await shared.attempt('service');
    expect(outcome.status).toBe(60);
    expect(outcome.stderr).toContain(`cannot lock ${join(spools, 'main', 'service.lock')}`);
    expect(outcome.stderr).toContain(`process ${scene.walden.pid!}`);
  });

  /** Ids of the backups that some service has begun. */
  function claims(): readonly string[] {
    return filesBelow(join(scene.walden.repositoryPath(), 'main'))
      .filter((file) => file.startsWith('base/') && file.endsWith('/claim.json'))
      .map((file) => file.split('/')[1]!);
  }

  async function begin(service: WaldenHarness, words: readonly string[]): Promise<string> {
    return ((await service.json('backup', 'main', ...words)) as { readonly job: JobDocument }).job.id;
  }

  async function ended(service: WaldenHarness, job: string): Promise<JobDocument> {
    const look = async (): Promise<JobDocument | undefined> => {
      const found = (await service.json('job', 'show', job)) as JobDocument;
      return found.state === 'running' ? undefined : found;
    };
    return await until(look, { what: `the end of job ${job}`, everyMs: 500 });
  }
});
