import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseLsn } from '../../src/postgres/lsn.ts';
import type { PlanDocument } from '../../src/service/api.ts';
import { switchSegment } from '../support/archiving.ts';
import { startLoad } from '../support/load.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import {
  inRepository,
  partialOf,
  receivedNow,
  receiveDirectory,
  receiveFrom,
  receiverOf,
  receiverThat,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import { freshTarget, leaveMark, type Mark, marksOf, restoreAndStart, type Scene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const SEGMENT_BYTES = 1024 * 1024;
/** A standby asks the archive that often for what it could not read. */
const SOON = { wal_retrieve_retry_interval: '200ms' };

/** Until everything that the server has flushed is in the spool. */
async function spooled(server: TestServer, walden: Scene['walden']): Promise<void> {
  const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
  await receiverThat(
    walden,
    'the receiver to have it',
    ({ flushedLsn }) => flushedLsn !== null && parseLsn(flushedLsn) >= end,
  );
}

async function planOf(walden: Scene['walden'], ...words: readonly string[]): Promise<PlanDocument> {
  return (await walden.json('plan', 'main', ...words)) as PlanDocument;
}

describe.each(testedVersions)('restoring what is in the unfinished segment, PostgreSQL %i', (version) => {
  let scene: Scene;
  let marks: Record<'a' | 'b' | 'c', Mark>;
  let between: string;

  beforeAll(async () => {
    scene = await startReceiving({ version });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await server.query(`insert into marks values ('whole')`);
    await receivedNow(server, walden);
    const a = await leaveMark(server, 'a');
    between = await server.value('select clock_timestamp()::text');
    const b = await leaveMark(server, 'b');
    await server.query(`select pg_create_restore_point('in the last segment')`);
    const c = await leaveMark(server, 'c');
    marks = { a, b, c };
    await spooled(server, walden);
    await walden.kill();
    await server.kill();
    await walden.start();
  });
  afterAll(() => scene.dispose());

  it('plans it, and says how far it is known and where it stands', async () => {
    const { walden } = scene;
    const { segment } = partialOf(walden);
    const { unfinished, wal, notes, unstoredSegments } = await planOf(walden);
    expect(unfinished?.segment).toBe(segment);
    expect(wal.last).toBe(segment);
    expect(unstoredSegments).toBe(1);
    const end = parseLsn(unfinished?.end ?? '');
    expect(end >= parseLsn(marks.c.lsn)).toBe(true);
    expect(notes.join('\n')).toContain(`segment ${segment} is unfinished: it is known up to LSN ${unfinished!.end}`);
    expect(await walden.run('plan', 'main')).toContain('1 in the spool, the last one unfinished');
  });

  it('gives back the latest without the server', async () => {
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['a', 'b', 'c', 'whole']);
    await restored.dispose();
  });

  it('stops at a target inside it', async () => {
    const targets: readonly (readonly [string, readonly string[], readonly string[]])[] = [
      ['--time', [between], ['a', 'whole']],
      ['--xid', [marks.b.xid], ['a', 'b', 'whole']],
      ['--lsn', [marks.a.lsn], ['a', 'whole']],
      ['--name', ['in the last segment'], ['a', 'b', 'whole']],
    ];
    for (const [option, value, expected] of targets) {
      const restored = await restoreAndStart(scene, [option, ...value], { waitFor: 'accepting' });
      await until(async () => (await restored.value('select pg_is_wal_replay_paused()')) === 'true', {
        what: `recovery to stop at ${option}`,
        explain: () => restored.log(),
      });
      expect(await marksOf(restored), option).toEqual(expected);
      await restored.dispose();
    }
  });

  it('refuses what lies behind its end', async () => {
    const { unfinished } = await planOf(scene.walden);
    const { status, stderr } = await scene.walden.attempt('plan', 'main', '--lsn', unfinished!.end);
    expect(status).toBe(51);
    expect(stderr).toContain('its last record begins at');
  });

  it('puts nothing of it where the target lies before', async () => {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, '--immediate');
    expect(filesBelow(join(to, 'pg_wal'))).toEqual([]);
  });

  it('fills it up with zeros, for PostgreSQL takes no shorter file', async () => {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to);
    const { segment, bytes } = partialOf(scene.walden);
    const placed = readFileSync(join(to, 'pg_wal', segment));
    expect(placed.equals(Buffer.concat([bytes], SEGMENT_BYTES))).toBe(true);
  });
});

describe('restoring what a reset put aside', () => {
  it('leaves it where it is as long as nothing is known of a later timeline, and says so', async () => {
    const scene = await startReceiving({ version: newestVersion });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await receivedNow(server, walden);
    await leaveMark(server, 'taken back');
    await spooled(server, walden);
    await server.kill();
    const { segment } = partialOf(walden);
    await walden.run('receiver', 'reset', 'main');
    const { unfinished, notes } = await planOf(walden, '--timeline', '1');
    expect(unfinished).toBeNull();
    expect(notes.join('\n')).toContain('not used, since nothing is known of a later timeline: ');
    expect(notes.join('\n')).toContain(`kept/${segment}.partial.1`);
    expect((await planOf(walden)).notes.join('\n')).not.toContain('kept/');
    await scene.dispose();
  });
});

describe('restoring whole segments that the repository does not take', () => {
  const scenes: { dispose(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.dispose();
  });

  it('takes them from the spool, with the unfinished one behind them', async () => {
    const scene = await startReceiving({ version: newestVersion, lines: ['acknowledge = "spool"'] });
    scenes.push(scene);
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await receivedNow(server, walden);
    const folder = join(walden.repositoryPath(), 'main', 'wal', '00000001', '00000000');
    chmodSync(folder, 0o500);
    scenes.push({
      dispose: () => {
        chmodSync(folder, 0o700);
        return Promise.resolve();
      },
    });
    const segments: string[] = [];
    for (const mark of ['one', 'two']) {
      await leaveMark(server, mark);
      segments.push(await switchSegment(server));
    }
    await leaveMark(server, 'three');
    await spooled(server, walden);
    await walden.kill();
    await server.kill();
    await walden.start();
    const { notes, unstoredSegments } = await planOf(walden);
    expect(unstoredSegments).toBe(3);
    expect(notes.join('\n')).toContain(`taken from the receiver's spool: ${segments.join(' to ')}`);
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['one', 'three', 'two']);
    await restored.dispose();
  });
});

describe.each(testedVersions)('a standby and the unfinished segment, PostgreSQL %i', (version) => {
  const scenes: { dispose(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const scene of scenes.splice(0)) await scene.dispose();
  });

  async function begin(): Promise<Scene> {
    const scene = await startReceiving({ version });
    scenes.push(scene);
    await scene.walden.run('backup', 'main');
    return scene;
  }

  async function standbyOf(scene: Scene): Promise<TestServer> {
    const standby = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting', settings: SOON });
    scenes.unshift(standby);
    return standby;
  }

  async function follows(standby: TestServer, mark: string): Promise<void> {
    await until(async () => (await marksOf(standby)).includes(mark), {
      what: `the standby to replay ${mark}`,
      explain: () => standby.log(),
    });
  }

  it('reads it to its end, and goes on when it is completed in the archive', async () => {
    const scene = await begin();
    const { server, walden } = scene;
    await receivedNow(server, walden);
    await leaveMark(server, 'unfinished');
    await spooled(server, walden);
    const standby = await standbyOf(scene);
    await follows(standby, 'unfinished');
    const { segment } = partialOf(walden);
    expect(readdirSync(join(standby.dataDirectory, 'pg_wal'))).toContain(segment);
    const load = await startLoad(server);
    await load.advance(300);
    await load.stop();
    await leaveMark(server, 'completed');
    await receivedNow(server, walden);
    await follows(standby, 'completed');
    // From the archive, over what was put there.
    const whole = readFileSync(join(server.dataDirectory, 'pg_wal', segment));
    const own = readFileSync(join(standby.dataDirectory, 'pg_wal', segment));
    expect(own.equals(whole)).toBe(true);
    expect(await standby.value('select pg_is_in_recovery()')).toBe('true');
    expect(await standby.value('select pg_promote(true, 60)')).toBe('true');
    expect(await marksOf(standby)).toEqual(['completed', 'unfinished']);
  });

  it('is not given one that was completed before it is started', async () => {
    const scene = await begin();
    const { server, walden } = scene;
    await leaveMark(server, 'unfinished');
    await spooled(server, walden);
    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to);
    const [segment] = filesBelow(join(to, 'pg_wal'));
    expect(segment).toBe(partialOf(walden).segment);
    await leaveMark(server, 'completed');
    await inRepository(walden, await switchSegment(server));
    await leaveMark(server, 'never archived');
    const restored = await startRestored(to, { version });
    scenes.unshift(restored);
    expect(await marksOf(restored)).toEqual(['completed', 'unfinished']);
  });

  it('that is promoted leaves the old timeline to those who ask for it, and its own unfinished one is used', async () => {
    const scene = await begin();
    const { server, walden } = scene;
    const standby = await standbyOf(scene);
    await leaveMark(server, 'followed');
    await receivedNow(server, walden);
    await follows(standby, 'followed');
    await leaveMark(server, 'left behind');
    await spooled(server, walden);
    const { segment: tail } = partialOf(walden);
    await server.kill();
    await standby.query('select pg_promote(true, 60)');
    await leaveMark(standby, 'new timeline');
    // Its history is known before the receiver has found the new primary.
    const history = join(standby.dataDirectory, 'pg_wal', '00000002.history');
    await walden.run('wal', 'push', 'main', history);
    const refused = await walden.attempt('plan', 'main');
    expect(refused.status).toBe(41);
    expect(refused.stderr).toContain('--timeline 1');
    const old = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(old)).toEqual(['followed', 'left behind']);
    await old.dispose();

    await walden.stop();
    receiveFrom(walden, standby.conninfo);
    await walden.start();
    await streaming(walden);
    await spooled(standby, walden);
    expect((await receiverOf(walden)).timeline).toBe(2);
    expect(filesBelow(join(receiveDirectory(walden), 'kept'))).toEqual([`${tail}.partial.1`]);
    // Put aside, it is given back to those who ask for its timeline, and to nobody else.
    const plan = await planOf(walden, '--timeline', '1');
    expect(plan.unfinished?.segment).toBe(tail);
    expect(plan.notes.join('\n')).toContain(`kept/${tail}.partial.1`);
    const left = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(left)).toEqual(['followed', 'left behind']);
    await left.dispose();
    await walden.kill();
    await standby.kill();
    await walden.start();
    const { unfinished, timeline } = await planOf(walden);
    expect(timeline).toBe(2);
    expect(unfinished?.segment.startsWith('00000002')).toBe(true);
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['followed', 'new timeline']);
    expect(readdirSync(join(restored.dataDirectory, 'pg_wal'))).not.toContain(tail);
    await restored.dispose();
  });
});
