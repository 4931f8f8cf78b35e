import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { archiveNow } from '../support/archiving.ts';
import { clone, type CloneScene, primaryOf, replayed, startCloneScene, streamsFrom } from '../support/cloning.ts';
import { freePort } from '../support/free-port.ts';
import { freshTarget, leaveMark, marksOf, restoreAndStart } from '../support/scene.ts';
import { partialOf, receivedNow, receiverThat, startReceiving } from '../support/receiving.ts';
import { startRestored } from '../support/postgres-server.ts';
import { filesBelow } from '../support/stored.ts';
import { until } from '../support/until.ts';
import { type StartedServer, startedServer } from '../support/started-server.ts';
import { testedVersions } from '../support/tested-versions.ts';

describe.each(testedVersions)('walden clone and what a receiver has of the old primary, PostgreSQL %i', (version) => {
  it('leaves out what the node that was promoted does not have', async () => {
    const scene = await startReceiving({ version });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    const promoted = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' });
    await leaveMark(server, 'before');
    await receivedNow(server, walden);
    await until(async () => (await marksOf(promoted)).includes('before'), { what: 'the standby to follow' });
    const { lsn } = await leaveMark(server, 'left behind');
    await receiverThat(
      walden,
      'it in the spool',
      ({ flushedLsn }) => flushedLsn !== null && parseLsn(flushedLsn) >= parseLsn(lsn),
    );
    const { segment } = partialOf(walden);
    await server.kill();
    await promoted.query('select pg_promote(true, 60)');
    await leaveMark(promoted, 'after');
    const to = freshTarget();
    await walden.run('clone', 'main', '--to', to, '--primary', primaryOf(promoted), '--slot', 'third');
    expect(filesBelow(join(to, 'pg_wal'))).not.toContain(segment);
    const standby = await startRestored(to, { version, waitFor: 'accepting' });
    await streamsFrom(promoted, 'third', () => '');
    await replayed(standby, promoted);
    expect(await marksOf(standby)).toEqual(['after', 'before']);
    await standby.dispose();
    await promoted.dispose();
    await scene.dispose();
  });
});

describe.each(testedVersions)('walden clone and a promotion, PostgreSQL %i', (version) => {
  let scene: CloneScene;
  let promoted: StartedServer;
  const ended: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    scene = await startCloneScene(version);
    const { server, offline, primary } = scene;
    const to = freshTarget();
    const start = ['--start', '--wait', '120', '--pg-bin', server.binDirectory, '--port', String(await freePort())];
    const { status, stderr } = await clone(['--to', to, ...offline, ...primary, ...start]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    promoted = startedServer(to, version);
    await leaveMark(server, 'before');
    await archiveNow(server);
    await replayed(promoted, server);
    await promoted.query('select pg_promote(true, 60)');
    await leaveMark(promoted, 'after');
  });
  afterAll(async () => {
    for (const standby of ended.splice(0)) await standby.stop();
    await promoted.stop();
    await scene.dispose();
  });

  it('follows a node that was promoted, of whose timeline the archive has nothing yet', async () => {
    const { server, offline } = scene;
    // What the old primary writes from now on must not be followed.
    await leaveMark(server, 'left behind');
    const to = freshTarget();
    const start = ['--start', '--wait', '120', '--pg-bin', server.binDirectory, '--port', String(await freePort())];
    const words = ['--primary', primaryOf(promoted), '--slot', 'second', ...start];
    const { status, stderr } = await clone(['--to', to, ...offline, ...words]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const standby = startedServer(to, version);
    ended.push(standby);
    await streamsFrom(promoted, 'second', () => standby.log());
    await replayed(standby, promoted);
    expect(await marksOf(standby)).toEqual(['after', 'before']);
  });

  it('refuses where the archive went on behind the fork on the old timeline', async () => {
    const { server, offline } = scene;
    await archiveNow(server);
    const to = freshTarget();
    const { status, stderr } = await clone(['--to', to, ...offline, '--primary', primaryOf(promoted)]);
    expect(status).toBe(41);
    expect(stderr).toContain('timeline 2 of the primary left timeline 1 at');
    expect(existsSync(to)).toBe(false);
  });

  it('refuses the old primary once the archive has gone on with the new timeline', async () => {
    const { walden, offline, primary } = scene;
    const history = join(await promoted.value('show data_directory'), 'pg_wal', '00000002.history');
    await walden.run('wal', 'push', 'main', history);
    const segment = await promoted.value('select pg_walfile_name(pg_switch_wal())');
    await walden.run('wal', 'push', 'main', join(await promoted.value('show data_directory'), 'pg_wal', segment));
    const to = freshTarget();
    const { status, stderr } = await clone(['--to', to, ...offline, ...primary]);
    expect(status).toBe(11);
    expect(stderr).toContain('the primary is on timeline 1 and does not come from timeline 2');
    expect(existsSync(to)).toBe(false);
  });
});
