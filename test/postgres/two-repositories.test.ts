import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, WalGapsDocument } from '../../src/service/api.ts';
import { archived, archiveNow, serverTime, switchSegment } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { freshTarget, leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { segmentObject, sha256Of } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const REPOSITORIES = ['near', 'far'] as const;

describe('a cluster with two repositories', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene({
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      walden: { repositories: REPOSITORIES },
    });
    await scene.walden.run('backup', 'main');
  });
  afterAll(() => scene.dispose());

  const walDirectory = (repository: string): string => join(scene.walden.repositoryPath(repository), 'main', 'wal');

  it('has the same backup in both', async () => {
    const { backups } = (await scene.walden.json('list', 'main')) as BackupListDocument;
    expect(backups.map(({ repository }) => repository).sort()).toEqual(['far', 'near']);
    expect(new Set(backups.map(({ id }) => id)).size).toBe(1);
  });

  it('acknowledges a segment only when both have it', async () => {
    const { server, walden } = scene;
    const places = await closed('far');
    const segment = await switchSegment(server);
    await until(async () => (await server.log()).includes(`walden-push: `), {
      what: 'the archiver to be told of the failure',
      explain: () => walden.log(),
    });
    expect(existsSync(join(server.dataDirectory, 'pg_wal/archive_status', `${segment}.done`))).toBe(false);
    expect(existsSync(join(server.dataDirectory, 'pg_wal', segment))).toBe(true);
    places.open();
    // Wakes the archiver.
    await archived(server, await switchSegment(server));
    await archived(server, segment);
    for (const repository of REPOSITORIES) expect(existsSync(segmentObject(walden, segment, repository))).toBe(true);
  });

  it('loses the spool without losing anything', async () => {
    const { server, walden } = scene;
    const spool = join(walden.stateDirectory, 'spool', 'main');
    expect(existsSync(spool)).toBe(true);
    await walden.stop();
    rmSync(spool, { recursive: true });
    await walden.start();
    await leaveMark(server, 'after the spool');
    await archiveNow(server);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
  });

  it('shows a hole that someone made in one, refuses a moment behind it there, and restores from the other', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'before the hole');
    const hole = await archiveNow(server);
    await leaveMark(server, 'after the hole');
    const moment = await serverTime(server);
    await leaveMark(server, 'last');
    await archiveNow(server);
    const kept = sha256Of(segmentObject(walden, hole, 'far'));
    chmodSync(join(segmentObject(walden, hole, 'near'), '..'), 0o750);
    rmSync(segmentObject(walden, hole, 'near'));
    await walden.run('catalog', 'rebuild');
    const { gaps } = (await walden.json('wal', 'gaps', 'main')) as WalGapsDocument;
    expect(gaps).toMatchObject([{ repository: 'near', first: hole, last: hole, segments: 1 }]);
    const alone = ['--repository-path', walden.repositoryPath('near')];
    const refused = await walden.attempt('restore', 'main', '--to', freshTarget(), '--time', moment, ...alone);
    expect(refused).toMatchObject({ status: 41 });
    expect(refused.stderr).toContain(hole);
    expect(await walden.run('plan', 'main', ...alone)).toContain(hole);
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toContain('after the hole');
    expect(await fingerprint(restored)).toEqual(await fingerprint(server));
    expect(sha256Of(segmentObject(walden, hole, 'far'))).toBe(kept);
    await restored.dispose();
  });

  /** Takes the right to write away from the directories of a repository's WAL; nothing that is open is changed. */
  async function closed(repository: string): Promise<{ readonly open: () => void }> {
    const first = await scene.server.value('select pg_walfile_name(pg_current_wal_lsn())');
    const directories = [walDirectory(repository), join(walDirectory(repository), first.slice(0, 8))];
    const all = [...directories, join(directories[1]!, first.slice(8, 16))].filter((path) => existsSync(path));
    for (const path of all) chmodSync(path, 0o550);
    return {
      open() {
        for (const path of all) chmodSync(path, 0o750);
      },
    };
  }
});
