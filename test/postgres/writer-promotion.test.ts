import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archived, archiveNow, switchSegment } from '../support/archiving.ts';
import { appendSettings, type TestServer } from '../support/postgres-server.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { eventsOf, eventThat, toldBy, writerPlaces, writersOf } from '../support/second-writer.ts';
import { segmentObject } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const SETUP = {
  initdbArguments: ['--wal-segsize=1'],
  walden: { clusterSettings: ['wal_fetch_timeout = 2'] },
};

async function followed(standby: TestServer, mark: string): Promise<void> {
  await until(async () => (await marksOf(standby)).includes(mark), {
    what: `the standby to replay ${mark}`,
    deadlineMs: 180_000,
    explain: () => standby.log(),
  });
}

/** While the service is down: it cannot see of any other that was promoted. */
async function promote(server: TestServer): Promise<void> {
  await server.query('select pg_promote(true, 120)');
  expect(existsSync(join(server.dataDirectory, 'pg_wal/00000002.history'))).toBe(true);
}

describe.each(testedVersions)('a standby with archive_mode = always, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;
  beforeAll(async () => {
    scene = await startScene({ version, ...SETUP });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    standby = await restoreAndStart(scene, ['--standby', '--take-over'], {
      waitFor: 'accepting',
      settings: { archive_mode: 'always', primary_conninfo: `host=${server.socketDirectory} port=5432 user=postgres` },
    });
    await until(async () => (await server.value('select count(*) from pg_stat_replication')) === '1', {
      what: 'the standby to stream',
      deadlineMs: 180_000,
      explain: () => standby.log(),
    });
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  async function archiveWith(command: string): Promise<void> {
    await appendSettings(scene.server.dataDirectory, { archive_command: command });
    await scene.server.query('select pg_reload_conf()');
  }

  it('archives the same bytes as its primary, which stays the writer', async () => {
    const segment = await archiveNow(scene.server);
    await archived(standby, segment);
    expect(await writerPlaces(scene.walden)).toEqual([`1 ${scene.server.dataDirectory}`]);
  });

  it('may bring a segment first', async () => {
    const { server, walden } = scene;
    await archiveWith('false');
    const segment = await switchSegment(server);
    await until(() => existsSync(segmentObject(walden, segment)), { what: segment, explain: () => standby.log() });
    expect(await writerPlaces(walden)).toEqual([`1 ${server.dataDirectory}`]);
    const { archiveCommand } = await walden.commandSettings();
    await archiveWith(archiveCommand);
    await archived(server, segment);
  });

  it('brings what its dead primary has not archived, and writes the timeline that it is promoted to', async () => {
    const { server, walden } = scene;
    await walden.stop();
    await leaveMark(server, 'not archived');
    const left = await switchSegment(server);
    await leaveMark(server, 'in the last segment');
    await followed(standby, 'in the last segment');
    await server.kill();
    await promote(standby);
    await leaveMark(standby, 'after');
    await walden.start();
    const segment = await archiveNow(standby);
    expect(segment).toMatch(/^00000002/);
    expect(existsSync(segmentObject(walden, left))).toBe(true);
    expect(await writerPlaces(walden)).toEqual([`1 ${server.dataDirectory}`, `2 ${standby.dataDirectory}`]);
    expect(await eventsOf(walden, 'second-writer', 'wal-refused')).toEqual([]);
    expect(await standby.log()).not.toContain('SECOND_WRITER');
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['after', 'in the last segment', 'not archived']);
    await restored.dispose();
  });
});

describe('two standbys of one primary that were both promoted', () => {
  let scene: Scene;
  let servers: readonly TestServer[];
  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, ...SETUP });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    const standby = (): Promise<TestServer> =>
      restoreAndStart(scene, ['--standby', '--take-over'], { waitFor: 'accepting' });
    servers = [await standby(), await standby()];
    await leaveMark(server, 'last');
    await archiveNow(server);
    for (const one of servers) await followed(one, 'last');
    await server.kill();
    // Neither can see that the other takes the next timeline.
    await walden.stop();
    for (const one of servers) {
      await promote(one);
      await leaveMark(one, `of ${one.dataDirectory}`);
      await switchSegment(one);
    }
  });
  afterAll(async () => {
    for (const one of servers) await one.dispose();
    await scene.dispose();
  });

  it('have the same history, and only one of them writes on', async () => {
    const { walden } = scene;
    const [one, other] = servers.map(({ dataDirectory }) =>
      readFileSync(join(dataDirectory, 'pg_wal/00000002.history'), 'utf8'),
    );
    expect(one).toBe(other);
    await walden.start();
    const event = await eventThat(walden, 'second-writer', ['second-writer']);
    const { writers } = await writersOf(walden);
    const writer = servers.find(({ dataDirectory }) => dataDirectory === writers.at(-1)?.node.dataDirectory);
    const second = servers.find((server) => server !== writer);
    expect(writers.at(-1)?.timeline).toBe(2);
    expect(event.message).toContain(writer!.dataDirectory);
    expect(event.message).toContain(second!.dataDirectory);
    await toldBy(second!, '(?:SECOND_WRITER|ARCHIVE_DUPLICATE)');
    await archiveNow(writer!);
    await second!.stop();
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['last', `of ${writer!.dataDirectory}`]);
    await restored.dispose();
  });
});

describe('a standby that is promoted to the timeline of a restored copy', () => {
  let scene: Scene;
  let standby: TestServer;
  let early: TestServer;
  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, ...SETUP });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    standby = await restoreAndStart(scene, ['--standby', '--take-over'], { waitFor: 'accepting' });
    await server.query("select pg_create_restore_point('early')");
    await leaveMark(server, 'last');
    await archiveNow(server);
    await followed(standby, 'last');
    await standby.stop();
    early = await restoreAndStart(scene, ['--name', 'early', '--action', 'promote', '--take-over']);
    await archiveNow(early);
    await server.kill();
    await walden.stop();
    await standby.start('accepting');
    await promote(standby);
    await walden.start();
  });
  afterAll(async () => {
    await standby.dispose();
    await early.dispose();
    await scene.dispose();
  });

  it('has another history, is told so with both names, and the copy writes on', async () => {
    const { walden } = scene;
    const told = await toldBy(standby, 'ARCHIVE_DUPLICATE');
    expect(told).toContain('00000002.history');
    expect(told).toContain(early.dataDirectory);
    const event = await eventThat(walden, 'second-writer', ['second-writer']);
    expect(event.facts).toMatchObject({
      ...{ timeline: 2, file: '00000002.history' },
      writer: { dataDirectory: early.dataDirectory },
      node: { dataDirectory: standby.dataDirectory },
    });
    await archiveNow(early);
  });
});
