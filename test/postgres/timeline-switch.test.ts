import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow, serverTime } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';

/**
 * Timeline 1: backup, a, fork, abandoned. Timeline 2 begins at the moment after a: b, then a moment, then c.
 */
describe.each(testedVersions)('restore across a timeline switch, PostgreSQL %i', (version) => {
  let scene: Scene;
  let successor: TestServer;
  let moment: string;

  beforeAll(async () => {
    scene = await startScene({ version });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await leaveMark(server, 'a');
    const fork = await serverTime(server);
    await leaveMark(server, 'abandoned');
    await archiveNow(server);
    await server.stop();
    successor = await restoreAndStart(scene, ['--time', fork, '--action', 'promote', '--take-over']);
    const load = await startLoad(successor);
    await load.advance(100);
    await leaveMark(successor, 'b');
    moment = await serverTime(successor);
    await leaveMark(successor, 'c');
    await load.stop();
    await archiveNow(successor);
  });
  afterAll(async () => {
    await successor.dispose();
    await scene.dispose();
  });

  it('--take-over archives the new timeline into the same cluster', async () => {
    expect(await successor.value('show archive_mode')).toBe('on');
    const list = await scene.walden.run('wal', 'list', 'main');
    expect(list).toContain('00000002');
    expect(await scene.walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
  });

  it('follows the newest timeline by default', async () => {
    const restored = await restoreAndStart(scene, []);
    expect(await fingerprint(restored)).toEqual(await fingerprint(successor));
    expect(await marksOf(restored)).toEqual(['a', 'b', 'c']);
    await restored.dispose();
  });

  it('reaches a moment after the switch from a backup before it', async () => {
    const restored = await restoreAndStart(scene, ['--time', moment, '--action', 'promote']);
    expect(await marksOf(restored)).toEqual(['a', 'b']);
    await restored.dispose();
  });

  it('--timeline reaches what the new timeline abandoned', async () => {
    const restored = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(restored)).toEqual(['a', 'abandoned']);
    await restored.dispose();
  });
});
