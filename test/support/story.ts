import { expect } from 'vitest';
import { archiveNow, serverTime } from './archiving.ts';
import { fingerprint } from './fingerprint.ts';
import { startLoad } from './load.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene } from './scene.ts';

/** Archives and takes a backup under load, restores to a moment, and finds what the database held then, row by row. */
export async function restoreToAMoment(scene: Scene): Promise<void> {
  const { server, walden } = scene;
  const load = await startLoad(server);
  await load.advance(200);
  await walden.run('backup', 'main');
  await load.advance(200);
  await archiveNow(server);
  await load.advance(200);
  await load.stop();
  await leaveMark(server, 'wanted');
  const before = await fingerprint(server);
  const moment = await serverTime(server);
  await leaveMark(server, 'too much');
  await archiveNow(server);
  expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
  const restored = await restoreAndStart(scene, ['--time', moment, '--action', 'promote']);
  expect(await marksOf(restored)).toEqual(['wanted']);
  expect(await fingerprint(restored)).toEqual(before);
  await restored.dispose();
}
