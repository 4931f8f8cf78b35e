import { mkdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startRestored } from '../support/postgres-server.ts';
import { assertSound, freshTarget, leaveMark, type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { createWalden } from '../support/walden.ts';

describe('the day when everything burned', () => {
  let scene: Scene;
  let before: unknown;

  beforeAll(async () => {
    scene = await startScene({ version: newestVersion });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await leaveMark(server, 'kept');
    await archiveNow(server);
    before = await fingerprint(server);
    await server.stop();
  });
  afterAll(() => scene.dispose());

  /** What `list`, `wal list` and the plan say, without what changes with the moment of asking. */
  async function answers(): Promise<readonly unknown[]> {
    const { walden } = scene;
    return [
      await walden.json('list', 'main'),
      await walden.json('wal', 'list', 'main'),
      await walden.json('plan', 'main'),
    ];
  }

  it('a second service on the same state directory is refused', async () => {
    const outcome = await scene.walden.attempt('service');
    expect(outcome.status).toBe(60);
  });

  it('catalog rebuild gives a catalog that answers every question as before', async () => {
    const known = await answers();
    await scene.walden.run('catalog', 'rebuild');
    expect(await answers()).toEqual(known);
  });

  it('a service whose state is lost finds everything in the repository again', async () => {
    const { walden } = scene;
    const known = await answers();
    await walden.stop();
    rmSync(walden.stateDirectory, { recursive: true });
    mkdirSync(walden.stateDirectory);
    await walden.start();
    const rebuilt = async (): Promise<boolean> => {
      const { jobs } = (await walden.json('job', 'list')) as JobListDocument;
      return jobs.some(({ kind, state }) => kind === 'catalog-rebuild' && state === 'done');
    };
    await until(rebuilt, { what: 'the catalog, built anew by the service itself' });
    expect(await answers()).toEqual(known);
  });

  it('list, show, plan and restore work straight from the repository', async () => {
    const { walden } = scene;
    await walden.stop();
    const elsewhere = createWalden({ clusters: {} });
    const path = ['--repository-path', walden.repositoryPath()];
    expect(await elsewhere.run('list', 'main', ...path)).toContain('complete');
    await elsewhere.run('show', 'main', 'latest', ...path);
    await elsewhere.run('plan', 'main', ...path);
    const to = freshTarget();
    await elsewhere.run('restore', 'main', '--to', to, ...path);
    const restored = await startRestored(to, { version: newestVersion });
    await assertSound(restored);
    expect(await fingerprint(restored)).toEqual(before);
    await restored.dispose();
  });
});
