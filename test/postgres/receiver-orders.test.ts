import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import {
  gapsOfArchived,
  receivedNow,
  receiverOf,
  receiverThat,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene } from '../support/scene.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

function conninfoOf({ conninfo }: TestServer): string {
  return conninfo.replace(' dbname=postgres', '');
}

describe.each(testedVersions)('walden cluster follow, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;

  beforeAll(async () => {
    scene = await startReceiving({ version, lines: ['backup_source = "stream"'] });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    standby = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' });
    await leaveMark(server, 'a');
    await receivedNow(server, walden);
    await until(async () => (await marksOf(standby)).includes('a'), { what: 'the standby to follow' });
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  async function refused(primary: string, status: number, words: string): Promise<void> {
    const outcome = await scene.walden.attempt('cluster', 'follow', 'main', '--primary', primary);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(words);
    expect((await receiverOf(scene.walden)).follows).toBeNull();
    await streaming(scene.walden);
  }

  it('refuses a node that is no primary, one of another cluster, and a password', async () => {
    await refused(conninfoOf(standby), 11, 'takes no writes');
    const other = await startServer({ version, initdbArguments: ['--wal-segsize=1'] });
    await refused(conninfoOf(other), 11, 'system identifier');
    await other.dispose();
    await refused(`${conninfoOf(standby)} password=sesame`, 2, 'holds a password');
  });

  it('goes on with the node that was promoted, without a hole, also after a restart of the service, and takes backups of it', async () => {
    const { server, walden } = scene;
    await server.stop();
    await standby.query('select pg_promote(true, 60)');
    const text = await walden.run('cluster', 'follow', 'main', '--primary', conninfoOf(standby));
    expect(text).toContain(`to follow: ${conninfoOf(standby)}`);
    const isOnSecond = ({ state, host, timeline }: Awaited<ReturnType<typeof receiverOf>>): boolean =>
      state === 'streaming' && host === standby.socketDirectory && timeline === 2;
    await receiverThat(walden, 'the new primary', isOnSecond);
    await leaveMark(standby, 'b');
    await receivedNow(standby, walden);
    await walden.kill();
    await walden.start();
    await receiverThat(walden, 'the new primary after a restart', isOnSecond);
    await leaveMark(standby, 'c');
    await receivedNow(standby, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    // The other node is down.
    await walden.run('backup', 'main');
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['a', 'b', 'c']);
    await restored.dispose();
  });

  it('is not led back to the node that was left behind', async () => {
    const { server, walden } = scene;
    await server.start();
    const { status, stderr } = await walden.attempt('cluster', 'follow', 'main', '--primary', conninfoOf(server));
    expect(status).toBe(11);
    expect(stderr).toContain('the server is on timeline 1, which does not come from timeline 2');
    expect((await receiverOf(walden)).follows?.conninfo).toBe(conninfoOf(standby));
    await streaming(walden);
    await server.stop();
  });

  it('follows the configuration again where it is told to', async () => {
    const { server, walden } = scene;
    await walden.run('cluster', 'follow', 'main', '--configured');
    const { follows } = await receiverThat(
      walden,
      'the configured primary, which is down',
      ({ host, failure }) => host === server.socketDirectory && failure?.error.code === 'SERVER_UNREACHABLE',
    );
    expect(follows).toBeNull();
    expect(await walden.run('status', 'main')).not.toContain('it was told');
    await walden.run('cluster', 'follow', 'main', '--primary', conninfoOf(standby));
    await streaming(walden);
  });
});

describe('walden receiver stop', () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await startReceiving({ version: newestVersion });
  });
  afterAll(() => scene.dispose());

  it('lasts across a restart of the service, and the status says so', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'before');
    const answer = await walden.run('receiver', 'stop', 'main');
    expect(answer).toContain('STOPPED by an operator');
    const { stoppedAt } = await receiverOf(walden);
    expect(stoppedAt).not.toBeNull();
    await walden.kill();
    await walden.start();
    await leaveMark(server, 'meanwhile');
    expect(await receiverOf(walden)).toMatchObject({ state: 'stopped', stoppedAt });
    const status = await walden.run('status', 'main');
    expect(status).toMatch(/STOPPED by an operator .*: no WAL is received, and the slot walden_main keeps all of it/);
    expect(status).toContain('walden receiver start main');
    const slot = await server.query('select active from pg_replication_slots');
    expect(slot).toEqual([{ active: false }]);
    expect(await walden.log()).toContain('stays so');
  });

  it('ends with walden receiver start, for good, and nothing is missing', async () => {
    const { server, walden } = scene;
    await walden.run('receiver', 'start', 'main');
    expect((await streaming(walden)).stoppedAt).toBeNull();
    await walden.kill();
    await walden.start();
    await streaming(walden);
    await walden.run('backup', 'main');
    await leaveMark(server, 'after');
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
  });

  it('is not undone by following another primary', async () => {
    const { server, walden } = scene;
    await walden.run('receiver', 'stop', 'main');
    await walden.run('cluster', 'follow', 'main', '--primary', conninfoOf(server));
    expect(await receiverOf(walden)).toMatchObject({ state: 'stopped', follows: { conninfo: conninfoOf(server) } });
  });
});
