import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument } from '../../src/service/api.ts';
import { acknowledgedButMissing, archiveNow, switchSegment } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import { restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { filesBelow, segmentObject } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const KILLS = 5;

describe.each(testedVersions)('outages, PostgreSQL %i', (version) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene({ version, initdbArguments: ['--wal-segsize=1'] });
    await scene.walden.run('backup', 'main');
  });
  afterAll(() => scene.dispose());

  it('WAL that was written while the service was down arrives by itself', async () => {
    const { server, walden } = scene;
    await walden.stop();
    const segments: string[] = [];
    for (let count = 0; count < 10; count += 1) segments.push(await switchSegment(server));
    await until(async () => Number(await server.value('select failed_count from pg_stat_archiver')) > 0, {
      what: 'the archiver to fail',
    });
    expect(await server.log()).toContain('unable to reach the service');
    await walden.start();
    // A server at work: without a new segment the archiver would sleep for a minute between its attempts.
    segments.push(await switchSegment(server));
    await until(() => segments.every((segment) => existsSync(segmentObject(walden, segment))), {
      what: 'all segments to arrive',
      explain: () => server.log(),
    });
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
  });

  it('kill -9 of the service under load loses nothing and needs no repair', async () => {
    const { server, walden } = scene;
    const load = await startLoad(server);
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.advance(150 + 70 * kill);
      await walden.kill();
      expect(acknowledgedButMissing(server, walden)).toEqual([]);
      await walden.start();
    }
    await load.stop();
    await archiveNow(server);
    expect(acknowledgedButMissing(server, walden)).toEqual([]);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    const restored = await restoreAndStart(scene, []);
    expect(await fingerprint(restored)).toEqual(await fingerprint(server));
    await restored.dispose();
  });

  it('kill -9 of PostgreSQL under load: every transaction that was acknowledged and archived is restored', async () => {
    const { server } = scene;
    const load = await startLoad(server);
    await load.advance(300);
    await server.kill();
    const acknowledged = await load.stop({ tolerant: true });
    await server.start();
    await archiveNow(server);
    const restored = await restoreAndStart(scene, []);
    const ids = acknowledged.map(({ transfer }) => transfer);
    expect(await restored.value('select count(*) from transfers where id = any ($1)', [ids])).toBe(String(ids.length));
    await restored.dispose();
  });

  it('kill -9 during a backup leaves a failed entry, and the next backup sweeps its objects', async () => {
    const { server, walden } = scene;
    await server.query(
      'create table bulk as select i, md5(i::text) || md5((i + 1)::text) as text from generate_series(1, 300000) i',
    );
    await walden.run('backup', 'main', '--no-wait', '--compression-level', '19', '--workers', '1');
    const base = join(walden.repositoryPath(), 'main', 'base');
    const known = new Set((await backups()).filter(({ state }) => state === 'complete').map(({ id }) => id));
    // Before it has begun, there is nothing to find.
    await until(async () => (await backups()).some(({ id }) => !known.has(id)), { what: 'the backup to have begun' });
    await walden.kill();
    await walden.start();
    const dead = (await backups()).filter(({ id }) => !known.has(id));
    expect(dead.map(({ state }) => state)).toEqual(['failed']);
    await walden.run('backup', 'main');
    expect(filesBelow(base).filter((file) => file.startsWith(dead[0]!.id))).toEqual([]);
    expect((await backups()).at(-1)).toMatchObject({ state: 'complete' });
  });

  async function backups(): Promise<BackupListDocument['backups']> {
    return ((await scene.walden.json('list', 'main')) as BackupListDocument).backups;
  }
});
