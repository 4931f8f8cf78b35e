import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

describe.each(testedVersions)('a standby that follows by restore_command alone, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;

  beforeAll(async () => {
    scene = await startScene({
      version,
      initdbArguments: ['--wal-segsize=1'],
      walden: { clusterSettings: ['wal_fetch_timeout = 5'] },
    });
    await scene.walden.run('backup', 'main');
    standby = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' });
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  async function followed(mark: string): Promise<void> {
    await until(async () => (await marksOf(standby)).includes(mark), {
      what: `the standby to replay ${mark}`,
      explain: () => standby.log(),
    });
  }

  it('replays segments of 1 MB as they are archived', async () => {
    const load = await startLoad(scene.server);
    await load.advance(1500);
    await load.stop();
    await leaveMark(scene.server, 'one');
    await archiveNow(scene.server);
    await followed('one');
    expect(await standby.value('select pg_is_in_recovery()')).toBe('true');
    expect(await fingerprint(standby)).toEqual(await fingerprint(scene.server));
  });

  it('outlives an outage of the service and goes on afterwards', async () => {
    await scene.walden.kill();
    await until(async () => (await standby.log()).includes('unable to reach the service'), {
      what: 'the standby to notice the outage',
      explain: () => standby.log(),
    });
    await scene.walden.start();
    await leaveMark(scene.server, 'two');
    await archiveNow(scene.server);
    await followed('two');
    expect(standby.running).toBe(true);
  });

  it('takes writes once it is promoted', async () => {
    expect(await standby.value('select pg_promote(true, 60)')).toBe('true');
    await leaveMark(standby, 'three');
    expect(await marksOf(standby)).toEqual(['one', 'three', 'two']);
  });
});
