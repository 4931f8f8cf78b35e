import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { archiveNow, switchSegment } from '../support/archiving.ts';
import {
  clone,
  type CloneScene,
  primaryOf,
  replayed,
  slotsOf,
  startCloneScene,
  streamsFrom,
} from '../support/cloning.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { freePort } from '../support/free-port.ts';
import { startLoad } from '../support/load.ts';
import { freshTarget, leaveMark, marksOf } from '../support/scene.ts';
import { type StartedServer, startedServer } from '../support/started-server.ts';
import { filesBelow } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';

interface Document {
  readonly result: {
    readonly files: number;
    readonly delta: { readonly keptFiles: number; readonly removedFiles: number };
    readonly warnings: readonly string[];
  };
}

// Each takes half a minute: `npm run test:matrix` does the others.
describe.each([newestVersion])('walden clone --delta of an old primary, PostgreSQL %i', (version) => {
  const ended: { stop(): Promise<unknown> }[] = [];
  let scene: CloneScene;

  afterEach(async () => {
    for (const node of ended.splice(0)) await node.stop();
    await scene.dispose();
  });

  async function startOptions(): Promise<readonly string[]> {
    return ['--start', '--wait', '120', '--pg-bin', scene.server.binDirectory, '--port', String(await freePort())];
  }

  /** A primary with a standby that streams from it. */
  async function pair(): Promise<StartedServer> {
    scene = await startCloneScene(version);
    const { offline, primary, server } = scene;
    // It commits whenever it likes, also what the standby has not got yet.
    await server.query('alter system set autovacuum = off');
    await server.query('select pg_reload_conf()');
    const to = freshTarget();
    const { status, stderr } = await clone(['--to', to, ...offline, ...primary, ...(await startOptions())]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const standby = startedServer(to, version);
    ended.push(standby);
    const [slot = ''] = await slotsOf(scene.server);
    await streamsFrom(scene.server, slot, () => standby.log());
    return standby;
  }

  function inodes(directory: string): ReadonlyMap<string, number> {
    return new Map(filesBelow(directory).map((path) => [path, lstatSync(join(directory, path)).ino]));
  }

  async function rejoin(promoted: StartedServer, ...words: readonly string[]): ReturnType<typeof clone> {
    const primary = ['--primary', primaryOf(promoted), '--slot', 'rejoined'];
    const to = ['--to', scene.server.dataDirectory, '--delta'];
    return await clone([...to, ...scene.offline, ...primary, ...(await startOptions()), ...words]);
  }

  async function followsAndHas(promoted: StartedServer): Promise<StartedServer> {
    const rejoined = startedServer(scene.server.dataDirectory, version);
    ended.unshift(rejoined);
    await streamsFrom(promoted, 'rejoined', () => rejoined.log());
    await leaveMark(promoted, 'after the rejoin');
    await replayed(rejoined, promoted);
    expect(await fingerprint(rejoined)).toEqual(await fingerprint(promoted));
    return rejoined;
  }

  it('makes it a standby after a switchover, without any other word', async () => {
    const standby = await pair();
    const { server } = scene;
    const load = await startLoad(server);
    await load.advance(200);
    await archiveNow(server);
    await load.advance(100);
    await load.stop();
    await server.stop('fast');
    await standby.query('select pg_promote(true, 60)');
    await leaveMark(standby, 'after the switchover');
    const before = inodes(server.dataDirectory);
    const { status, stdout, stderr } = await rejoin(standby);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('it streams from the primary');
    expect(stdout).toMatch(/kept: \d+ files, .*; removed: \d+ files/);
    const after = inodes(server.dataDirectory);
    expect([...after].filter(([path, inode]) => before.get(path) === inode).length).toBeGreaterThan(500);
    await followsAndHas(standby);
  });

  it('refuses one with transactions that the new primary never got, until they are given up', async () => {
    const standby = await pair();
    const { server } = scene;
    await leaveMark(server, 'before');
    await archiveNow(server);
    await replayed(standby, server);
    await standby.query('select pg_promote(true, 60)');
    await leaveMark(server, 'left behind');
    await server.kill();
    await leaveMark(standby, 'after the failover');
    const before = inodes(server.dataDirectory);
    const refused = await rejoin(standby);
    expect(refused.status).toBe(54);
    expect(refused.stderr).toMatch(
      /has WAL that neither a repository nor the primary has: [0-9A-F]{24} \(\d+ transactions? behind 0\/[0-9A-F]+, the last committed at /,
    );
    expect(refused.stderr).toContain('--discard-wal');
    expect(inodes(server.dataDirectory)).toEqual(before);
    expect(await slotsOf(standby)).toEqual([]);

    const { status, stdout, stderr } = await rejoin(standby, '--discard-wal', '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { result } = JSON.parse(stdout) as Document;
    expect(result.warnings.join('\n')).toMatch(/given up, since no repository has it: [0-9A-F]{24} \(\d+ transaction/);
    expect(result.delta.keptFiles).toBeGreaterThan(500);
    const rejoined = await followsAndHas(standby);
    expect(await marksOf(rejoined)).toEqual(['after the failover', 'after the rejoin', 'before']);
  });

  it('refuses one with whole segments that the archive never got, although the new primary replayed them', async () => {
    const standby = await pair();
    const { server, walden } = scene;
    await archiveNow(server);
    await server.query("alter system set archive_command = 'false'");
    await server.query('select pg_reload_conf()');
    await leaveMark(server, 'in a hole');
    const whole = await switchSegment(server);
    await leaveMark(server, 'before');
    await replayed(standby, server);
    await server.kill();
    await standby.query('select pg_promote(true, 60)');
    const refused = await rejoin(standby);
    expect(refused.status).toBe(54);
    expect(refused.stderr).toMatch(new RegExp(`nor the primary has: ${whole}\\n`));
    expect(refused.stderr).toContain(`walden wal repair main --from ${server.dataDirectory}`);
    await walden.run('wal', 'push', 'main', join(server.dataDirectory, 'pg_wal', whole));
    const { status, stderr } = await rejoin(standby);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const rejoined = await followsAndHas(standby);
    expect(await marksOf(rejoined)).toEqual(['after the rejoin', 'before', 'in a hole']);
  });

  it('brings back a standby that was stopped and fell behind', async () => {
    const standby = await pair();
    const { server, offline, primary } = scene;
    await leaveMark(server, 'seen');
    await replayed(standby, server);
    const to = await standby.value('show data_directory');
    const [slot = ''] = await slotsOf(server);
    await standby.stop();
    ended.splice(0);
    const load = await startLoad(server);
    await load.advance(300);
    await load.stop();
    await archiveNow(server);
    await leaveMark(server, 'missed');
    const words = ['--to', to, '--delta', ...offline, ...primary, ...(await startOptions())];
    const { status, stderr } = await clone(words);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const again = startedServer(to, version);
    ended.push(again);
    await streamsFrom(server, slot, () => again.log());
    await replayed(again, server);
    expect(await fingerprint(again)).toEqual(await fingerprint(server));
  });
});
