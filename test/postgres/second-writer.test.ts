import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archived, archiveInto, archiveNow, switchSegment } from '../support/archiving.ts';
import { startRestored, startServer, type TestServer } from '../support/postgres-server.ts';
import { streaming } from '../support/receiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import {
  changeCatalog,
  eventsOf,
  eventThat,
  startCopy,
  toldBy,
  writerPlaces,
  writersOf,
} from '../support/second-writer.ts';
import { segmentObject } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { createWalden, runProgram, type WaldenHarness } from '../support/walden.ts';

const KINDS = ['second-writer', 'second-writer-gone'] as const;
const WAL_1MB = { initdbArguments: ['--wal-segsize=1'] };

describe.each(testedVersions)('a copy of the primary that kept its archive_command, PostgreSQL %i', (version) => {
  let scene: Scene;
  let copy: TestServer;
  let first: string;

  beforeAll(async () => {
    scene = await startScene({ version, ...WAL_1MB });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await archiveNow(server);
    copy = await startCopy(server);
  });
  afterAll(async () => {
    await copy.dispose();
    await scene.dispose();
  });

  it('is refused also where it is the first with a segment, which the primary archives then', async () => {
    const { server, walden } = scene;
    await leaveMark(copy, 'of the copy');
    first = await switchSegment(copy);
    const told = await toldBy(copy, 'SECOND_WRITER');
    expect(told).toContain(`written by ${hostname()}:${server.dataDirectory}, and ${first} comes from`);
    expect(told).toContain(
      `stop the server in ${copy.dataDirectory} on ${hostname()}, or set archive_mode = off in it`,
    );
    expect(existsSync(segmentObject(walden, first))).toBe(false);
    await leaveMark(server, 'of the primary');
    expect(await archiveNow(server)).toBe(first);
    expect(await writerPlaces(walden)).toEqual([`1 ${server.dataDirectory}`]);
  });

  it('is one incident that names both, however much it offers', async () => {
    const { server, walden } = scene;
    for (let count = 0; count < 20; count += 1) await switchSegment(copy);
    const event = await eventThat(walden, 'second-writer', KINDS);
    expect(event).toMatchObject({
      level: 'error',
      facts: {
        timeline: 1,
        file: first,
        writer: { host: hostname(), dataDirectory: server.dataDirectory },
        node: { host: hostname(), dataDirectory: copy.dataDirectory },
      },
    });
    // What it offers first is in the archive by now, with the primary's bytes.
    await toldBy(copy, 'ARCHIVE_DUPLICATE');
    const { status, stdout } = await walden.attempt('check', 'main', '--timeout', '60');
    expect(status).toBe(70);
    expect(stdout).toMatch(/second writer/);
    expect(stdout).toContain(copy.dataDirectory);
    const text = await walden.run('status', 'main');
    expect(text).toContain(`Writer of timeline 1: ${hostname()}:${server.dataDirectory}\n`);
    expect(text).toContain(`SECOND WRITER on timeline 1: ${hostname()}:${copy.dataDirectory}\n`);
    expect(text).not.toContain('REFUSED');
    await archiveNow(server);
    expect(await eventsOf(walden, ...KINDS)).toHaveLength(1);
    expect(await eventsOf(walden, 'wal-refused')).toEqual([]);
  });

  it('is refused also by a service that knows of no writer: the configured server writes', async () => {
    const { server, walden } = scene;
    await walden.stop();
    changeCatalog(walden, 'delete from timeline_writer; delete from second_writer');
    await walden.start();
    await toldBy(copy, 'ARCHIVE_DUPLICATE');
    const name = await switchSegment(copy);
    const outcome = await walden.attempt('wal', 'list', 'main');
    expect(outcome.stdout).not.toContain(name);
    await archiveNow(server);
    expect(await writerPlaces(walden)).toEqual([`1 ${server.dataDirectory}`]);
  });

  it('is no incident any more when it has stopped', async () => {
    const { walden } = scene;
    await eventThat(walden, 'second-writer', KINDS);
    await copy.stop();
    // As if five minutes had gone by.
    changeCatalog(walden, 'update second_writer set last_at = last_at - 300000000');
    const event = await eventThat(walden, 'second-writer-gone', KINDS);
    expect(event).toMatchObject({ level: 'info', subject: `1 ${hostname()}:${copy.dataDirectory}` });
    expect(await walden.run('status', 'main')).not.toContain('SECOND WRITER');
    expect((await writersOf(walden)).refused).toEqual([]);
  });

  it('has left nothing in the archive', async () => {
    await leaveMark(scene.server, 'last');
    await archiveNow(scene.server);
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['last', 'of the primary']);
    await restored.dispose();
  });
});

describe('servers of which the service sees no data directory', () => {
  let server: TestServer;
  let walden: WaldenHarness;
  beforeAll(async () => {
    server = await startServer({ version: newestVersion, ...WAL_1MB, settings: { archive_mode: 'on' } });
    const { conninfo } = server;
    const clusters = { main: { conninfo, dataDirectory: undefined } };
    walden = createWalden({ clusters, clusterSettings: ['receive = true', 'backup_source = "stream"'] });
    await walden.start();
    // The cluster is known now; from here on its WAL comes by archive_command alone.
    await streaming(walden);
    await walden.run('receiver', 'stop', 'main');
    await archiveInto(server, walden);
    await archiveNow(server);
  });
  afterAll(async () => {
    await server.dispose();
    await walden.kill();
  });

  it('write by who is first, also across a kill and a restart of the service', async () => {
    expect(await writerPlaces(walden)).toEqual([`1 ${server.dataDirectory}`]);
    const copy = await startCopy(server);
    await walden.kill();
    await walden.start();
    const name = await switchSegment(copy);
    await toldBy(copy, 'SECOND_WRITER');
    expect(existsSync(segmentObject(walden, name))).toBe(false);
    expect(await archiveNow(server)).toBe(name);
    await copy.dispose();
  });

  it('are told from each other in any directory; one that was moved is accepted by the command of the hint', async () => {
    await server.stop();
    const moved = join(newDirectory('moved'), `an "odd" dir, it's süß 100%`, 'data');
    mkdirSync(join(moved, '..'));
    renameSync(server.dataDirectory, moved);
    const after = await startRestored(moved, { version: newestVersion });
    const name = await switchSegment(after);
    const hint = await toldBy(after, 'SECOND_WRITER');
    const [, words = ''] = /: walden (cluster writer main --timeline 1 --accept .*)/.exec(hint) ?? [];
    const accepted = await acceptBy(words);
    expect(accepted).toContain(moved.replace('%', '%25'));
    await archived(after, name);
    // The copy of the test before is one still.
    expect((await writersOf(walden)).refused.filter(({ node }) => node.dataDirectory.includes('odd'))).toEqual([]);
    await after.dispose();
  });

  /** As a shell would understand what the hint says. */
  async function acceptBy(words: string): Promise<string> {
    const script = `set -- ${words}; for word do printf '%s\\0' "$word"; done`;
    const { stdout } = await runProgram('/bin/sh', ['-c', script]);
    return await walden.run(...stdout.split('\0').slice(0, -1));
  }

  it('are refused when the command is given half', async () => {
    expect(await walden.attempt('cluster', 'writer', 'main', '--timeline', '1')).toMatchObject({ status: 2 });
    expect(await walden.attempt('cluster', 'writer', 'main', '--timeline', '1', '--accept', 'db1')).toMatchObject({
      status: 2,
    });
  });
});
